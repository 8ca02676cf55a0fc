import { Diamond } from 'lucide-react';
import { Button } from '../ui/button';
import type { QuestionEntry } from './fold';

/** Says that the agent waits for an answer, while the question itself is not on screen. */
export function Waiting({ question, show }: { question: QuestionEntry; show: () => void }) {
  return (
    <div role="status" className="flex shrink-0 items-center gap-2 border-t border-amber/60 bg-amber-soft px-3 py-1.5 md:px-4">
      <Diamond size={14} fill="currentColor" className="shrink-0 text-amber" aria-hidden />
      <span className="min-w-0 grow truncate">Waits for your answer: {question.title}</span>
      <Button size="small" onClick={show}>
        Show
      </Button>
    </div>
  );
}

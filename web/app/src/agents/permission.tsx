import type { Permission } from '../api/queries';
import { useAct } from '../ui/act';
import { Button } from '../ui/button';
import { visible } from '../ui/code';
import { answerQuestion, type Answer } from './answer';

interface AnswersProps {
  roomId: string;
  role: string;
  permission: Permission;
}

/** The answers to what an agent asks. */
export function Answers({ roomId, role, permission }: AnswersProps) {
  const answer = useAct((word: Answer) => answerQuestion(roomId, role, permission, word));
  const common = (word: Answer) => ({
    size: 'small' as const,
    busy: answer.with === word,
    disabled: answer.busy,
    onClick: () => answer(word),
  });
  return (
    <div className="flex flex-wrap gap-2">
      <Button {...common('deny')} data-key="d">
        Deny
      </Button>
      <Button look="main" {...common('allow')} data-key="a">
        Allow
      </Button>
      {permission.always && (
        <>
          <Button {...common('allow-run')}>Allow for this run</Button>
          <span className="text-sm text-quiet">For this run means: {visible(permission.always)}</span>
        </>
      )}
    </div>
  );
}

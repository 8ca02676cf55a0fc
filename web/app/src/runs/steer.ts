// What a person can do to a run. The feed tells the page what came of it.

import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useCallback, useState } from 'react';
import { answerQuestion, type Answer } from '../agents/answer';
import { command as send, interruptTurn, toldTo } from '../agents/command';
import { api, unwrap, type Schemas } from '../api/client';
import { keys, type Run } from '../api/queries';
import { tell, useAct } from '../ui/act';
import type { RunContext } from './context';
import type { QuestionEntry } from './fold';

export function useSteering(run: Run) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const interrupt = useAct(() => interruptTurn(run.chatroomId, run.role), 'The turn is being interrupted');
  const order = async (type: Schemas['CommandType'], resume?: boolean) => {
    const sent = await send(run.machineId, type, run.chatroomId, run.role, resume);
    // A start is another run.
    if (sent.runId && sent.runId !== run.runId) {
      await navigate({ to: '/rooms/$roomId/runs/$runId', params: { roomId: run.chatroomId, runId: sent.runId } });
    }
  };
  const command = useAct(
    (type: Schemas['CommandType']) => order(type),
    (type) => toldTo(type, run.role, () => order('start-agent', run.form === 'managed')),
  );
  const followUp = useAct(async (text: string) => {
    await tellMore(run, text);
    await queries.invalidateQueries({ queryKey: [...keys.room(run.chatroomId), 'prompts'] });
  });
  return { interrupt, command, followUp };
}

/** Tells an agent something more, now or after its turn. */
export function tellMore({ chatroomId, role }: Run, text: string) {
  const path = { chatroomId, role };
  return unwrap(api.POST('/api/chatrooms/{chatroomId}/agents/{role}/follow-up', { params: { path }, body: { text } }));
}

export type Steering = ReturnType<typeof useSteering>;

/** Answers questions. One whose answer was taken stays busy until the transcript says that it is closed. */
export function useAnswers(run: Run): Pick<RunContext, 'answer' | 'answering'> {
  const [answering, setAnswering] = useState<ReadonlySet<string>>(new Set());
  const { chatroomId, role } = run;
  const answer = useCallback(
    (question: QuestionEntry, word: Answer) => {
      const { permissionId } = question;
      setAnswering((before) => new Set(before).add(permissionId));
      answerQuestion(chatroomId, role, question, word).catch((error: unknown) => {
        tell(error);
        setAnswering((before) => {
          const after = new Set(before);
          after.delete(permissionId);
          return after;
        });
      });
    },
    [chatroomId, role],
  );
  return { answer, answering };
}

import { api, unwrap } from '../api/client';

/** What a person says to a question of an agent. */
export type Answer = 'deny' | 'allow' | 'allow-run';

/** Answers a question. It names the digest of what was shown, so nobody permits what they did not see. */
export function answerQuestion(
  chatroomId: string,
  role: string,
  { permissionId, digest }: { permissionId: string; digest: string },
  answer: Answer,
) {
  return unwrap(
    api.POST('/api/chatrooms/{chatroomId}/agents/{role}/permissions/{permissionId}', {
      params: { path: { chatroomId, role, permissionId } },
      body: {
        decision: answer === 'deny' ? 'deny' : 'allow',
        scope: answer === 'allow-run' ? 'run' : 'once',
        digest,
      },
    }),
  );
}

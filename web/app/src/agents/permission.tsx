import { api, unwrap } from '../api/client';
import type { Permission } from '../api/queries';
import { useAct } from '../ui/act';
import { Button } from '../ui/button';

interface AnswerProps {
  roomId: string;
  role: string;
  permission: Permission;
  size?: 'small' | 'normal';
}

/** The answers to what an agent asks. Each names the digest of what was shown, so nobody permits what they did not see. */
export function Answer({ roomId, role, permission, size = 'small' }: AnswerProps) {
  const answer = useAct(({ decision, scope }: { decision: 'allow' | 'deny'; scope: 'once' | 'run' }) =>
    unwrap(
      api.POST('/api/chatrooms/{chatroomId}/agents/{role}/permissions/{permissionId}', {
        params: { path: { chatroomId: roomId, role, permissionId: permission.permissionId } },
        body: { decision, scope, digest: permission.digest },
      }),
    ),
  );
  const busy = (decision: string, scope: string) => answer.with?.decision === decision && answer.with.scope === scope;
  return (
    <div className="flex flex-wrap gap-2">
      <Button size={size} disabled={answer.busy} busy={busy('deny', 'once')} onClick={() => answer({ decision: 'deny', scope: 'once' })}>
        Deny
      </Button>
      <Button
        size={size}
        look="main"
        disabled={answer.busy}
        busy={busy('allow', 'once')}
        onClick={() => answer({ decision: 'allow', scope: 'once' })}
      >
        Allow
      </Button>
      {permission.always && (
        <Button
          size={size}
          disabled={answer.busy}
          busy={busy('allow', 'run')}
          title={`Until this run is over: ${permission.always}`}
          onClick={() => answer({ decision: 'allow', scope: 'run' })}
        >
          Allow for this run
        </Button>
      )}
    </div>
  );
}

import { useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, unwrap } from '../api/client';
import { PageHead } from '../frame/frame';
import { Button } from '../ui/button';
import { TextField } from '../ui/field';
import { Problem } from '../ui/problem';
import { Skeleton } from '../ui/states';
import { Ago } from '../ui/time';

/** Lets a command line in that shows a code, or refuses it. */
export function CliPage() {
  const { code } = useSearch({ from: '/inside/cli' });
  return (
    <>
      <PageHead title="Let a command line in" />
      <div className="flex w-full max-w-[480px] flex-col gap-4 p-4">{code ? <Decide key={code} code={code} /> : <Ask />}</div>
    </>
  );
}

function Ask() {
  const navigate = useNavigate();
  const [typed, setTyped] = useState('');
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        void navigate({ to: '/cli', search: { code: typed.trim() } });
      }}
    >
      <TextField
        label="The code in your terminal"
        hint="chatroom auth login shows it."
        autoComplete="off"
        spellCheck={false}
        autoFocus
        required
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <Button type="submit" look="main">
        Go on
      </Button>
    </form>
  );
}

function Decide({ code }: { code: string }) {
  const path = { params: { path: { userCode: code } } };
  const asks = useQuery({
    queryKey: ['device', code],
    queryFn: () => unwrap(api.GET('/api/auth/device/{userCode}', path)),
    retry: false,
    staleTime: Infinity,
  });
  const decide = useMutation({
    mutationFn: (decision: 'allow' | 'deny') => unwrap(api.POST('/api/auth/device/{userCode}', { ...path, body: { decision } })),
  });
  if (decide.isSuccess) {
    return decide.variables === 'allow' ? (
      <p role="status">The command line is signed in. Go back to the terminal.</p>
    ) : (
      <p role="status">The command line was not let in.</p>
    );
  }
  if (asks.isPending) return <Skeleton />;
  if (asks.isError) {
    return (
      <>
        <Problem error={asks.error} />
        <Ask />
      </>
    );
  }
  return (
    <>
      <p>A command line asks to act as you. Allow it only if you started it and it shows this code:</p>
      <p className="font-mono text-2xl tracking-widest">{code.toUpperCase()}</p>
      <dl className="grid grid-cols-[96px_1fr] gap-y-1">
        <dt className="text-quiet">Device</dt>
        <dd>{asks.data.device}</dd>
        <dt className="text-quiet">Version</dt>
        <dd>{asks.data.version}</dd>
        <dt className="text-quiet">Asked</dt>
        <dd>
          <Ago at={asks.data.requestedAt} />
        </dd>
      </dl>
      {decide.isError && <Problem error={decide.error} />}
      <div className="flex gap-2">
        <Button look="main" busy={decide.isPending} onClick={() => decide.mutate('allow')}>
          Allow
        </Button>
        <Button disabled={decide.isPending} onClick={() => decide.mutate('deny')}>
          Deny
        </Button>
      </div>
    </>
  );
}

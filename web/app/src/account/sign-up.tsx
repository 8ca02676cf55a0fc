import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, unwrap } from '../api/client';
import { keys, me } from '../api/queries';
import { Button } from '../ui/button';
import { TextField } from '../ui/field';
import { Problem } from '../ui/problem';
import { Door } from './door';

/** Makes an account with a secret or an invitation; somebody who has one takes the invitation up. */
export function SignUp() {
  const { code = '' } = useSearch({ from: '/sign-up' });
  const signedIn = useQuery({ ...me, retry: false });
  if (signedIn.isPending) return null;
  return signedIn.data && code ? <TakeUp code={code} name={signedIn.data.name} /> : <Form code={code} />;
}

function Form({ code: given }: { code: string }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [filled, setFilled] = useState({ name: '', email: '', password: '', code: given });
  const set = (name: keyof typeof filled) => (event: { target: { value: string } }) =>
    setFilled((before) => ({ ...before, [name]: event.target.value }));
  const signUp = useMutation({
    mutationFn: () => {
      const { code, ...account } = filled;
      return unwrap(api.POST('/api/auth/sign-up', { body: code.trim() ? { ...account, code: code.trim() } : account }));
    },
    onSuccess: async () => {
      queries.clear();
      await navigate({ to: '/' });
    },
  });
  return (
    <Door title="Sign up">
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          signUp.mutate();
        }}
      >
        <TextField label="Name" hint="What others see." autoComplete="name" autoFocus required maxLength={80} value={filled.name} onChange={set('name')} />
        <TextField label="E-mail" inputMode="email" autoComplete="username" required value={filled.email} onChange={set('email')} />
        <TextField
          label="Password"
          hint="At least 10 characters."
          type="password"
          autoComplete="new-password"
          required
          minLength={10}
          maxLength={200}
          value={filled.password}
          onChange={set('password')}
        />
        {!given && (
          <TextField
            label="Secret or invitation"
            hint="The link of an invitation, and the one the server prints when it first starts, fill this in."
            autoComplete="off"
            value={filled.code}
            onChange={set('code')}
          />
        )}
        {signUp.isError && <Problem error={signUp.error} />}
        <Button type="submit" look="main" busy={signUp.isPending}>
          Sign up
        </Button>
      </form>
      <p className="text-quiet">
        You have an account?{' '}
        <Link to="/sign-in" search={given ? { to: `/sign-up?code=${given}` } : {}} className="text-accent underline">
          Sign in
        </Link>
      </p>
    </Door>
  );
}

function TakeUp({ code, name }: { code: string; name: string }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const accept = useMutation({
    mutationFn: () => unwrap(api.POST('/api/invitations/accept', { body: { code } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: keys.account });
      await queries.invalidateQueries({ queryKey: keys.rooms });
      await navigate({ to: '/' });
    },
  });
  return (
    <Door title="Join">
      <p>You were invited, and you are signed in as {name}.</p>
      {accept.isError && <Problem error={accept.error} />}
      <Button look="main" busy={accept.isPending} onClick={() => accept.mutate()}>
        Join
      </Button>
    </Door>
  );
}

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useRouter, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, unwrap } from '../api/client';
import { Button } from '../ui/button';
import { TextField } from '../ui/field';
import { Problem } from '../ui/problem';
import { Door } from './door';

export function SignIn() {
  const { to } = useSearch({ from: '/sign-in' });
  const navigate = useNavigate();
  const router = useRouter();
  const queries = useQueryClient();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const signIn = useMutation({
    mutationFn: () => unwrap(api.POST('/api/auth/sign-in', { body: { email, password } })),
    onSuccess: async () => {
      queries.clear();
      if (to) router.history.push(to);
      else await navigate({ to: '/' });
    },
  });
  return (
    <Door title="Sign in">
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          signIn.mutate();
        }}
      >
        <TextField
          label="E-mail"
          name="email"
          inputMode="email"
          autoComplete="username"
          autoFocus
          required
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        <TextField
          label="Password"
          name="password"
          type="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        {signIn.isError && <Problem error={signIn.error} />}
        <Button type="submit" look="main" busy={signIn.isPending}>
          Sign in
        </Button>
      </form>
      <p className="text-quiet">
        No password, or none you know? On the server’s computer, <code className="font-mono text-sm">chatroom admin sign-in-link</code>{' '}
        prints a link that signs in once.
      </p>
      <p className="text-quiet">
        New here?{' '}
        <Link to="/sign-up" className="text-accent underline">
          Sign up
        </Link>{' '}
        with an invitation, or with the secret the server printed when it first started.
      </p>
    </Door>
  );
}

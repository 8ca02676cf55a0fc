import { api, unwrap } from '../api/client';
import { tell } from '../ui/act';

/** Ends this sign-in, and leaves nothing of it on the page. */
export async function signOut(): Promise<void> {
  try {
    await unwrap(api.POST('/api/auth/sign-out'));
    location.assign('/sign-in');
  } catch (error) {
    tell(error);
  }
}

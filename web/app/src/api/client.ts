// One client for the whole app, typed by the API description. Nothing here knows a route.

import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Problem = Schemas['Problem'];

export const api = createClient<paths>({ baseUrl: '/' });

/** What went wrong, in the server's words, with the code a person can copy. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(sentence(problem.detail));
    this.name = 'ApiError';
    this.problem = problem;
  }

  get code(): string {
    return this.problem.code;
  }
}

/** The server was not reached at all. */
export class Unreachable extends Error {
  constructor() {
    super('The server cannot be reached. This page tries again by itself.');
    this.name = 'Unreachable';
  }
}

/** Waits for an answer and returns its body, or throws what the server said. */
export async function unwrap<T>(
  asked: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<NonNullable<T>> {
  const answer = await asked.catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Unreachable();
  });
  if (answer.response.ok) return answer.data as NonNullable<T>;
  throw new ApiError(asProblem(answer.error, answer.response));
}

/** Makes a problem of whatever a refusal holds: a proxy in between answers in its own words. */
export function asProblem(body: unknown, response: Response): Problem {
  if (typeof body === 'object' && body !== null && 'code' in body && 'detail' in body) return body as Problem;
  return {
    type: 'about:blank',
    title: response.statusText,
    status: response.status,
    code: 'unknown',
    detail: `the server answered ${response.status}; try again, and look into its log if that stays so`,
  } as Problem;
}

/** Errors of the server are fragments; people read sentences. */
export function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…)]$/.test(begun) ? begun : `${begun}.`;
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'not_signed_in';
}

// Search over the whole transcript, by the server: a hit leads to its place.

import { useInfiniteQuery } from '@tanstack/react-query';
import { Search, X } from 'lucide-react';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { api, unwrap, type Schemas } from '../api/client';
import { Button, IconButton } from '../ui/button';
import { cx } from '../ui/cx';
import { inputLook } from '../ui/field';
import { Problem } from '../ui/problem';

const KINDS: Record<string, string> = {
  message: 'Message',
  thought: 'Thought',
  tool_call: 'Call',
  tool_result: 'Output',
  permission_asked: 'Question',
  turn_ended: 'End of a turn',
  prompt_sent: 'Prompt',
  notice: 'Notice',
  exited: 'Exit',
};

interface SearchProps {
  runId: string;
  goTo: (seq: number) => void;
  close: () => void;
}

export function TranscriptSearch({ runId, goTo, close }: SearchProps) {
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const list = useRef<HTMLOListElement>(null);
  const wanted = useDeferredValue(text.trim());
  const found = useInfiniteQuery({
    queryKey: ['search', runId, wanted],
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/runs/{runId}/transcript/search', {
          params: { path: { runId }, query: { text: wanted, limit: 50, ...(pageParam && { from: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: '',
    getNextPageParam: (last) => last.next ?? undefined,
    enabled: wanted.length > 0,
    placeholderData: (before) => before,
    gcTime: 0,
  });
  const hits = wanted ? (found.data?.pages.flatMap((page) => page.hits) ?? []) : [];
  useEffect(() => setChosen(0), [wanted]);
  useEffect(() => {
    list.current?.children[chosen]?.scrollIntoView({ block: 'nearest' });
  }, [chosen]);
  const choose = (index: number) => {
    const hit = hits[index];
    if (!hit) return;
    setChosen(index);
    goTo(hit.event);
  };
  return (
    <section aria-label="Search the transcript" className="shrink-0 border-b border-line bg-panel px-3 py-2 md:px-4">
      <div className="flex items-center gap-2">
        <Search size={14} className="text-quiet" aria-hidden />
        <input
          autoFocus
          value={text}
          maxLength={100}
          aria-label="Text to find"
          placeholder="Find in the whole transcript"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') close();
            else if (event.key === 'Enter') choose(chosen);
            else if (event.key === 'ArrowDown') setChosen(Math.min(hits.length - 1, chosen + 1));
            else if (event.key === 'ArrowUp') setChosen(Math.max(0, chosen - 1));
            else return;
            event.preventDefault();
            event.stopPropagation();
          }}
          className={cx(inputLook, 'h-8 pointer-coarse:h-10')}
        />
        <span role="status" className="shrink-0 text-sm text-quiet">
          {wanted && !found.isError && told(hits.length, found.isFetching, found.hasNextPage)}
        </span>
        <IconButton label="Close the search" onClick={close}>
          <X size={16} />
        </IconButton>
      </div>
      {found.isError && (
        <div className="mt-2">
          <Problem error={found.error} retry={() => void found.refetch()} />
        </div>
      )}
      {hits.length > 0 && (
        <ol ref={list} className="mt-2 max-h-[32dvh] overflow-y-auto">
          {hits.map((hit, index) => (
            <li key={hit.event}>
              <Hit hit={hit} text={wanted} isChosen={index === chosen} choose={() => choose(index)} />
            </li>
          ))}
          {found.hasNextPage && (
            <li>
              <Button look="quiet" size="small" busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
                Find more
              </Button>
            </li>
          )}
        </ol>
      )}
    </section>
  );
}

function told(count: number, isFetching: boolean, hasMore: boolean): string {
  if (count === 0) return isFetching ? 'Searching…' : 'Found nowhere';
  return `${count}${hasMore ? ' or more' : ''} ${count === 1 ? 'place' : 'places'}`;
}

interface HitProps {
  hit: Schemas['SearchHit'];
  text: string;
  isChosen: boolean;
  choose: () => void;
}

function Hit({ hit, text, isChosen, choose }: HitProps) {
  const at = hit.excerpt.toLowerCase().indexOf(text.toLowerCase());
  const end = at + text.length;
  return (
    <button
      type="button"
      onClick={choose}
      className={cx('flex w-full items-baseline gap-2 rounded-sm px-1 py-0.5 text-left hover:bg-hover', isChosen && 'bg-hover')}
    >
      <span className="w-14 shrink-0 text-right font-mono text-xs text-quiet">{hit.event}</span>
      <span className="w-20 shrink-0 text-sm text-quiet">{KINDS[hit.kind] ?? hit.kind}</span>
      <span className="min-w-0 grow truncate font-mono text-sm">
        {at < 0 ? (
          hit.excerpt
        ) : (
          <>
            {hit.excerpt.slice(0, at)}
            <mark className="rounded-sm bg-amber-soft text-amber">{hit.excerpt.slice(at, end)}</mark>
            {hit.excerpt.slice(end)}
          </>
        )}
      </span>
    </button>
  );
}

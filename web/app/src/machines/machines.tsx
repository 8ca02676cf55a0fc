import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useVirtualizer } from '@tanstack/react-virtual';
import { Plus } from 'lucide-react';
import { useMemo, useRef, useState } from 'react';
import { machines, type Machine } from '../api/queries';
import { PageHead } from '../frame/frame';
import { useRows } from '../frame/keys';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { inputLook } from '../ui/field';
import { cx } from '../ui/cx';
import { Problem } from '../ui/problem';
import { Empty, Skeleton } from '../ui/states';
import { OnlineDot } from '../ui/status';
import { Ago } from '../ui/time';
import { AddMachine } from './add';

const ROW = 56;

export function MachinesPage() {
  const all = useQuery(machines);
  const [adding, setAdding] = useState(false);
  const online = all.data?.filter((machine) => machine.daemonConnected).length;
  return (
    <>
      <PageHead title="Machines" about={all.data && all.data.length > 0 && `${online} of ${all.data.length} online`}>
        <Button look="main" onClick={() => setAdding(true)}>
          <Plus size={16} aria-hidden />
          Add a machine
        </Button>
      </PageHead>
      {all.isPending && <Skeleton rows={5} />}
      {all.isError && (
        <div className="p-4">
          <Problem error={all.error} retry={() => void all.refetch()} />
        </div>
      )}
      {all.data?.length === 0 && (
        <Empty title="No machine yet">
          <AddMachine />
        </Empty>
      )}
      {all.data && all.data.length > 0 && <List machines={all.data} />}
      <Dialog open={adding} onOpenChange={setAdding} wide title="Add a machine">
        <AddMachine />
      </Dialog>
    </>
  );
}

function List({ machines: all }: { machines: Machine[] }) {
  const [wanted, setWanted] = useState('');
  const scroll = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => {
    const text = wanted.trim().toLowerCase();
    return all.filter((machine) => `${machine.alias} ${machine.hostname} ${machine.os}`.toLowerCase().includes(text));
  }, [all, wanted]);
  const list = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 8,
    useFlushSync: false,
  });
  useRows('In the list of machines', { box: scroll, count: shown.length, scrollTo: (index) => list.scrollToIndex(index) });
  return (
    <div ref={scroll} className="min-h-0 grow overflow-y-auto">
      <div className="mx-auto w-full max-w-[960px] p-4 max-sm:px-2">
        {all.length > 8 && (
          <input
            type="search"
            aria-label="Find a machine"
            placeholder="Find a machine"
            value={wanted}
            onChange={(event) => setWanted(event.target.value)}
            className={cx(inputLook, 'mb-3 h-8 max-w-80')}
          />
        )}
        {shown.length === 0 ? (
          <p className="text-quiet">No machine has that in its name.</p>
        ) : (
          <ul className="relative rounded-md border border-line bg-panel" style={{ height: list.getTotalSize() + 2 }}>
            {list.getVirtualItems().map((row) => {
              const machine = shown[row.index];
              return (
                machine && (
                  <li
                    key={machine.machineId}
                    data-row={row.index}
                    tabIndex={-1}
                    className="absolute inset-x-0 border-line not-first:border-t"
                    style={{ height: ROW, transform: `translateY(${row.start}px)` }}
                  >
                    <Row machine={machine} />
                  </li>
                )
              );
            })}
          </ul>
        )}
      </div>
    </div>
  );
}

function Row({ machine }: { machine: Machine }) {
  return (
    <Link
      to="/machines/$machineId"
      params={{ machineId: machine.machineId }}
      className="grid h-full grid-cols-[1fr_auto] items-center gap-x-4 px-3 hover:bg-hover sm:grid-cols-[minmax(0,1fr)_minmax(0,1fr)_96px_112px]"
    >
      <span className="min-w-0">
        <span className="block truncate font-medium">{machine.alias}</span>
        <span className="block truncate text-sm text-quiet">
          {machine.hostname === machine.alias ? machine.os : `${machine.hostname} · ${machine.os}`}
        </span>
      </span>
      <span className="hidden truncate text-quiet sm:block">
        {machine.availableTools.length > 0 ? machine.availableTools.join(', ') : 'no agent program found'}
      </span>
      {machine.lockedAt != null ? <span className="text-red">▲ Locked</span> : <OnlineDot online={machine.daemonConnected} />}
      <span className="hidden text-right text-quiet sm:block">{!machine.daemonConnected && <Ago at={machine.lastSeenAt} />}</span>
    </Link>
  );
}

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Activity, CircleUser, Laptop, MessagesSquare } from 'lucide-react';
import type { ReactNode } from 'react';
import { rooms } from '../api/queries';
import { waitingInAll } from '../rooms/mark';

/** The rail of a phone: within reach of a thumb. */
export function BottomBar() {
  const { data } = useQuery(rooms);
  const count = waitingInAll(data);
  return (
    <nav
      aria-label="Main"
      className="grid shrink-0 grid-cols-4 border-t border-line bg-sunken pb-[env(safe-area-inset-bottom)] md:hidden"
    >
      <Item
        to="/"
        label="Rooms"
        icon={
          <span className="relative">
            <MessagesSquare size={20} aria-hidden />
            {count > 0 && (
              <span
                title={`${count} need you`}
                className="absolute -top-1.5 left-3 rounded-full bg-amber-soft px-1.5 text-xs font-semibold text-amber"
              >
                {count}
              </span>
            )}
          </span>
        }
      />
      <Item to="/machines" icon={<Laptop size={20} aria-hidden />} label="Machines" />
      <Item to="/activity" icon={<Activity size={20} aria-hidden />} label="Activity" />
      <Item to="/account" icon={<CircleUser size={20} aria-hidden />} label="Account" />
    </nav>
  );
}

function Item({ to, icon, label }: { to: '/' | '/machines' | '/activity' | '/account'; icon: ReactNode; label: string }) {
  return (
    <Link
      to={to}
      activeOptions={{ exact: to === '/' }}
      className="flex h-14 flex-col items-center justify-center gap-0.5 text-quiet"
      activeProps={{ className: '!text-accent font-medium' }}
    >
      {icon}
      <span className="text-xs">{label}</span>
    </Link>
  );
}

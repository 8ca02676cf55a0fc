import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useRouterState } from '@tanstack/react-router';
import { Activity, CircleUser, Ellipsis, Inbox, Laptop, MessagesSquare, Search } from 'lucide-react';
import type { ReactNode } from 'react';
import { rooms } from '../api/queries';
import { waitingInAll } from '../rooms/mark';
import { cx } from '../ui/cx';
import { Menu } from '../ui/menu';
import { openPalette } from './palette';

/** The rail of a phone: within reach of a thumb. */
export function BottomBar() {
  const { data } = useQuery(rooms);
  const count = waitingInAll(data);
  return (
    <nav
      aria-label="Main"
      className="grid shrink-0 grid-cols-4 border-t border-line bg-sunken pb-[env(safe-area-inset-bottom)] md:hidden"
    >
      <Item to="/" icon={<MessagesSquare size={20} aria-hidden />} label="Rooms" />
      <Item
        to="/needs-you"
        label="Needs you"
        icon={
          <span className="relative">
            <Inbox size={20} aria-hidden />
            {count > 0 && (
              <span className="absolute -top-1.5 left-3 rounded-full bg-amber-soft px-1.5 text-xs font-semibold text-amber">
                {count}
              </span>
            )}
          </span>
        }
      />
      <Item to="/machines" icon={<Laptop size={20} aria-hidden />} label="Machines" />
      <More />
    </nav>
  );
}

const item = 'flex h-14 flex-col items-center justify-center gap-0.5 text-quiet';
const here = '!text-accent font-medium';

function Item({ to, icon, label }: { to: '/' | '/needs-you' | '/machines'; icon: ReactNode; label: string }) {
  return (
    <Link to={to} activeOptions={{ exact: to === '/' }} className={item} activeProps={{ className: here }}>
      {icon}
      <span className="text-xs">{label}</span>
    </Link>
  );
}

/** What is wanted less often. */
function More() {
  const navigate = useNavigate();
  const isHere = useRouterState({ select: ({ location }) => ['/activity', '/account'].includes(location.pathname) });
  return (
    <Menu
      trigger={
        <button type="button" className={cx(item, isHere && here)}>
          <Ellipsis size={20} aria-hidden />
          <span className="text-xs">More</span>
        </button>
      }
      items={[
        { label: 'Activity', icon: <Activity size={16} aria-hidden />, act: () => void navigate({ to: '/activity' }) },
        { label: 'Account', icon: <CircleUser size={16} aria-hidden />, act: () => void navigate({ to: '/account' }) },
        { label: 'Search', icon: <Search size={16} aria-hidden />, act: openPalette },
      ]}
    />
  );
}

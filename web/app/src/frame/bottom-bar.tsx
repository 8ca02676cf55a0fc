import { Link } from '@tanstack/react-router';
import { Activity, CircleUser, Laptop, MessagesSquare } from 'lucide-react';
import type { ReactNode } from 'react';

/** The rail of a phone: within reach of a thumb. */
export function BottomBar() {
  return (
    <nav
      aria-label="Main"
      className="grid shrink-0 grid-cols-4 border-t border-line bg-sunken pb-[env(safe-area-inset-bottom)] md:hidden"
    >
      <Item to="/" icon={<MessagesSquare size={20} aria-hidden />} label="Rooms" />
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

import { DropdownMenu } from 'radix-ui';
import type { ReactNode } from 'react';
import { cx } from './cx';

export interface MenuItem {
  label: string;
  icon?: ReactNode;
  act: () => void;
  danger?: boolean;
  disabled?: boolean;
}

/** A menu of actions behind one button. */
export function Menu({ trigger, items }: { trigger: ReactNode; items: (MenuItem | false | null | undefined)[] }) {
  return (
    <DropdownMenu.Root>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align="end"
          sideOffset={4}
          className="z-50 min-w-44 rounded-md border border-line bg-panel p-1 shadow-[0_8px_24px_#0003]"
        >
          {items.map(
            (item) =>
              item && (
                <DropdownMenu.Item
                  key={item.label}
                  disabled={item.disabled ?? false}
                  onSelect={item.act}
                  className={cx(
                    'flex h-8 cursor-pointer items-center gap-2 rounded-sm px-2 outline-none select-none data-highlighted:bg-hover pointer-coarse:h-11',
                    'data-disabled:cursor-default data-disabled:opacity-50',
                    item.danger && 'text-red',
                  )}
                >
                  {item.icon}
                  {item.label}
                </DropdownMenu.Item>
              ),
          )}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

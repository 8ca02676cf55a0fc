// Every place and every action that is not about one thing on the page, by a few letters.

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Command } from 'cmdk';
import { Activity, CircleUser, DoorOpen, Home, Laptop, LogOut, MessageSquareText, Moon, Plus } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { useDeferredValue, useEffect, useState, type ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { machines, rooms, search } from '../api/queries';
import { signOut } from '../account/sign-out';
import { cycleTheme } from '../account/theme';
import { CreateRoom } from '../rooms/create';
import { OnlineDot } from '../ui/status';

const OPEN = 'chatroom:palette';

export const openPalette = () => window.dispatchEvent(new Event(OPEN));

export function Palette() {
  const [open, setOpen] = useState(false);
  const [creating, setCreating] = useState(false);
  useEffect(() => {
    // At once: what is typed next belongs into it.
    const show = () => flushSync(() => setOpen(true));
    window.addEventListener(OPEN, show);
    return () => window.removeEventListener(OPEN, show);
  }, []);
  return (
    <>
      <Dialog.Root open={open} onOpenChange={setOpen}>
        <Dialog.Portal>
          <Dialog.Overlay className="fixed inset-0 z-40 bg-[#0008]" />
          <Dialog.Content
            aria-describedby={undefined}
            className="fixed top-[12dvh] left-1/2 z-50 w-[min(560px,calc(100vw-16px))] -translate-x-1/2 overflow-hidden rounded-md border border-line bg-panel shadow-[0_16px_48px_#0003]"
          >
            <Dialog.Title className="sr-only">Search and actions</Dialog.Title>
            <Actions close={() => setOpen(false)} create={() => setCreating(true)} />
          </Dialog.Content>
        </Dialog.Portal>
      </Dialog.Root>
      <CreateRoom open={creating} onOpenChange={setCreating} />
    </>
  );
}

function Actions({ close, create }: { close: () => void; create: () => void }) {
  const navigate = useNavigate();
  const { data: allRooms } = useQuery(rooms);
  const { data: allMachines } = useQuery(machines);
  const [text, setText] = useState('');
  const wanted = useDeferredValue(text.trim());
  const found = useQuery({ ...search(wanted), enabled: wanted.length > 2, placeholderData: keepPreviousData });
  const then = (act: () => unknown) => () => {
    close();
    act();
  };
  return (
    <Command label="Search and actions" loop>
      <Command.Input
        autoFocus
        value={text}
        onValueChange={setText}
        placeholder="A room, a machine, something that was said, or something to do"
        className="h-11 w-full border-b border-line bg-transparent px-4 text-lg outline-none"
      />
      <Command.List className="max-h-[50dvh] overflow-y-auto p-1">
        <Command.Empty className="px-3 py-4 text-quiet">Nothing has that in it.</Command.Empty>
        <Group heading="Rooms">
          {allRooms?.slice(0, 200).map((room) => (
            <Item
              key={room.chatroomId}
              value={`${room.name} ${room.chatroomId}`}
              icon={<DoorOpen size={16} aria-hidden />}
              act={then(() => navigate({ to: '/rooms/$roomId', params: { roomId: room.chatroomId } }))}
            >
              {room.name}
            </Item>
          ))}
        </Group>
        <Group heading="Machines">
          {allMachines?.slice(0, 200).map((machine) => (
            <Item
              key={machine.machineId}
              value={`${machine.alias} ${machine.machineId}`}
              icon={<Laptop size={16} aria-hidden />}
              act={then(() => navigate({ to: '/machines/$machineId', params: { machineId: machine.machineId } }))}
            >
              <span className="grow">{machine.alias}</span>
              <OnlineDot online={machine.daemonConnected} />
            </Item>
          ))}
        </Group>
        {wanted.length > 2 && found.data && found.data.messages.length > 0 && (
          <Group heading="Messages">
            {found.data.messages.map((message) => (
              <Item
                key={message.messageId}
                value={`${message.messageId} ${wanted}`}
                icon={<MessageSquareText size={16} aria-hidden />}
                act={then(() => navigate({ to: '/rooms/$roomId', params: { roomId: message.chatroomId } }))}
              >
                <span className="grow truncate">{message.excerpt}</span>
                <span className="text-quiet">{message.chatroomName}</span>
              </Item>
            ))}
          </Group>
        )}
        <Group heading="Actions">
          <Item value="New room" icon={<Plus size={16} aria-hidden />} act={then(create)}>
            New room
          </Item>
          <Item value="Go to the start page" icon={<Home size={16} aria-hidden />} act={then(() => navigate({ to: '/' }))}>
            Go to the start page
          </Item>
          <Item value="Go to machines" icon={<Laptop size={16} aria-hidden />} act={then(() => navigate({ to: '/machines' }))}>
            Go to machines
          </Item>
          <Item value="Go to activity" icon={<Activity size={16} aria-hidden />} act={then(() => navigate({ to: '/activity' }))}>
            Go to activity
          </Item>
          <Item value="Go to your account devices sessions password" icon={<CircleUser size={16} aria-hidden />} act={then(() => navigate({ to: '/account' }))}>
            Go to your account
          </Item>
          <Item value="Switch between light, dark and the computer’s choice theme" icon={<Moon size={16} aria-hidden />} act={then(cycleTheme)}>
            Switch between light, dark and the computer’s choice
          </Item>
          <Item value="Sign out" icon={<LogOut size={16} aria-hidden />} act={then(signOut)}>
            Sign out
          </Item>
        </Group>
      </Command.List>
    </Command>
  );
}

function Group({ heading, children }: { heading: string; children: ReactNode }) {
  return (
    <Command.Group
      heading={heading}
      className="**:[[cmdk-group-heading]]:px-2 **:[[cmdk-group-heading]]:pt-2 **:[[cmdk-group-heading]]:pb-1 **:[[cmdk-group-heading]]:text-sm **:[[cmdk-group-heading]]:text-quiet"
    >
      {children}
    </Command.Group>
  );
}

function Item({ value, icon, act, children }: { value: string; icon: ReactNode; act: () => void; children: ReactNode }) {
  return (
    <Command.Item
      value={value}
      onSelect={act}
      className="flex h-9 cursor-pointer items-center gap-2 rounded-sm px-2 data-[selected=true]:bg-hover pointer-coarse:h-11"
    >
      <span className="text-quiet">{icon}</span>
      {children}
    </Command.Item>
  );
}

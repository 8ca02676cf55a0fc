// Which program an agent is, where it runs, and how.

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { api, unwrap, type Schemas } from '../api/client';
import { keys, policy, type Agent, type Machine, type Room } from '../api/queries';
import { AddMachine } from '../machines/add';
import { Button } from '../ui/button';
import { Commands } from '../ui/copy';
import { Dialog } from '../ui/dialog';
import { SelectField, TextField } from '../ui/field';
import { Problem } from '../ui/problem';
import { command, isLive, machineOf, settled } from './command';

type Tool = Schemas['Tool'];
type Mode = Schemas['PermissionMode'];
type Form = Schemas['RunForm'];

interface SetupProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  agent: Agent;
  room: Room;
  machines: Machine[];
}

export function AgentSetup({ open, onOpenChange, agent, room, machines }: SetupProps) {
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      wide
      title={`Set up ${agent.role}`}
      about="Which agent program takes this role, on which of your machines, and where it works there."
    >
      {machines.length === 0 ? (
        <>
          <p>You have no machine yet.</p>
          <AddMachine />
        </>
      ) : (
        <SetupForm agent={agent} room={room} machines={machines} close={() => onOpenChange(false)} />
      )}
    </Dialog>
  );
}

interface FormProps {
  agent: Agent;
  room: Room;
  machines: Machine[];
  close: () => void;
}

function SetupForm({ agent, room, machines, close }: FormProps) {
  const first = machineOf(agent) ?? machines.find((machine) => machine.daemonConnected)?.machineId ?? machines[0]?.machineId ?? '';
  const [machineId, setMachineId] = useState(first);
  const machine = machines.find((known) => known.machineId === machineId);
  const saved = agent.configs.find((config) => config.machineId === machineId);
  return (
    <>
      <SelectField
        label="Machine"
        value={machineId}
        onChange={(event) => setMachineId(event.target.value)}
        choices={machines.map((known) => ({
          value: known.machineId,
          label: `${known.daemonConnected ? '●' : '○'} ${known.alias}${known.daemonConnected ? '' : ' (offline)'}`,
        }))}
      />
      {machine && !machine.daemonConnected && (
        <div className="flex flex-col gap-2 rounded-md bg-amber-soft p-2">
          <p>{machine.alias} is offline. What you save counts once it is back. There, run:</p>
          <Commands lines="chatroom machine daemon start" />
        </div>
      )}
      {machine && (
        <Choices key={machineId} agent={agent} room={room} machine={machine} saved={saved} machines={machines} close={close} />
      )}
    </>
  );
}

interface ChoicesProps extends FormProps {
  machine: Machine;
  saved: Agent['configs'][number] | undefined;
}

function Choices({ agent, room, machine, machines, saved, close }: ChoicesProps) {
  const queries = useQueryClient();
  const [tool, setTool] = useState<Tool | undefined>(saved?.agentType ?? machine.availableTools[0]);
  const [directory, setDirectory] = useState(saved?.workingDir ?? '');
  const [model, setModel] = useState(saved?.model ?? '');
  const [mode, setMode] = useState<Mode>(saved?.mode ?? 'ask');
  const [form, setForm] = useState<Form>(saved?.form ?? 'managed');
  const elsewhere = isLive(agent) && agent.machineId !== machine.machineId;
  const from = machines.find((known) => known.machineId === agent.machineId);
  const save = useMutation({
    mutationFn: async (start: boolean) => {
      if (!tool) throw new Error('Choose an agent program first.');
      await unwrap(
        api.PUT('/api/machines/{machineId}/agents/{chatroomId}/{role}', {
          params: { path: { machineId: machine.machineId, chatroomId: room.chatroomId, role: agent.role } },
          body: { agentType: tool, workingDir: directory.trim(), mode, form, ...(model.trim() ? { model: model.trim() } : {}) },
        }),
      );
      if (!start) return;
      // One process per role: the one elsewhere is over before the next begins.
      if (elsewhere && agent.machineId) await settled(await command(agent.machineId, 'stop-agent', room.chatroomId, agent.role));
      const again = isLive(agent) && !elsewhere;
      await command(machine.machineId, again ? 'restart-agent' : 'start-agent', room.chatroomId, agent.role);
    },
    onSuccess: close,
    onSettled: () => queries.invalidateQueries({ queryKey: keys.room(room.chatroomId) }),
  });
  const absolute = directory.trim().startsWith('/');
  return (
    <form
      className="flex flex-col gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate(true);
      }}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <SelectField
          label="Agent program"
          value={tool ?? ''}
          onChange={(event) => setTool(event.target.value as Tool)}
          error={machine.availableTools.length === 0 && 'None was found on this machine. Install one there; the daemon looks again by itself.'}
          choices={[
            ...(tool ? [] : [{ value: '', label: 'None' }]),
            ...machine.tools
              .filter((known) => known.presence !== 'missing' || known.tool === saved?.agentType)
              .map((known) => ({
                value: known.tool,
                label: known.presence === 'missing' ? `${known.tool} (no longer there)` : [known.tool, known.version].filter(Boolean).join(' '),
              })),
          ]}
        />
        <TextField
          label="Model"
          hint="As the program spells it. Empty: its own choice."
          placeholder="the program’s own"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          value={model}
          onChange={(event) => setModel(event.target.value)}
        />
      </div>
      <Directory machine={machine} value={directory} onChange={setDirectory} absolute={absolute} />
      <div className="grid gap-3 sm:grid-cols-2">
        <SelectField
          label="Permissions"
          value={mode}
          onChange={(event) => setMode(event.target.value as Mode)}
          hint={mode === 'auto' ? 'It acts without asking; the machine must allow that.' : 'It asks you before it changes or runs anything.'}
          choices={[
            { value: 'ask', label: 'Ask first' },
            { value: 'auto', label: 'Act without asking' },
          ]}
        />
        <SelectField
          label="Form"
          value={form}
          onChange={(event) => setForm(event.target.value as Form)}
          hint={form === 'terminal' ? 'As you would start it yourself, in a terminal you can type in.' : 'Its transcript is shown, and it takes tasks by itself.'}
          choices={[
            { value: 'managed', label: 'Managed' },
            { value: 'terminal', label: 'Terminal' },
          ]}
        />
      </div>
      {elsewhere && (
        <p className="rounded-md bg-amber-soft p-2">
          {agent.role} runs on {from?.alias ?? 'another machine'} now. Starting it here stops it there first.
        </p>
      )}
      {save.isError && <Problem error={save.error} />}
      <div className="flex justify-end gap-2">
        <Button disabled={!tool || !absolute} busy={save.isPending && !save.variables} onClick={() => save.mutate(false)}>
          Save
        </Button>
        <Button type="submit" look="main" disabled={!tool || !absolute} busy={save.isPending && save.variables}>
          {elsewhere ? `Move to ${machine.alias} and start` : isLive(agent) ? 'Save and restart' : 'Save and start'}
        </Button>
      </div>
    </form>
  );
}

interface DirectoryProps {
  machine: Machine;
  value: string;
  onChange: (value: string) => void;
  absolute: boolean;
}

/** Whether a folder is an allowed one, or in one. */
const within = (folder: string, allowed: string) =>
  folder === allowed || folder.startsWith(allowed.endsWith('/') ? allowed : `${allowed}/`);

/** Where it works. The machine itself says which folders it allows, and only there can that be changed. */
function Directory({ machine, value, onChange, absolute }: DirectoryProps) {
  const permits = useQuery({
    ...policy(machine.machineId),
    enabled: machine.daemonConnected,
    // Somebody may allow a folder there while this is open.
    refetchInterval: 3000,
  });
  const allowed = permits.data?.allowedDirectories;
  const folder = value.trim();
  const refused = absolute && allowed !== undefined && !allowed.some((one) => within(folder, one));
  const list = useId();
  return (
    <div className="flex flex-col gap-2">
      <TextField
        label="Working directory"
        required
        list={list}
        placeholder={allowed?.[0] ?? '/home/you/project'}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        error={
          value !== '' && !absolute
            ? 'The whole path, beginning with /.'
            : refused && `${machine.alias} does not allow this folder. To allow it, run there:`
        }
        hint={
          allowed === undefined
            ? `A folder that ${machine.alias} allows.`
            : allowed.length === 0
              ? `${machine.alias} allows no folder yet. chatroom machine allow FOLDER, run there, allows one.`
              : `${machine.alias} allows ${allowed.slice(0, 3).join(', ')}${allowed.length > 3 ? ` and ${allowed.length - 3} more` : ''}, and what is in ${allowed.length === 1 ? 'it' : 'them'}.`
        }
      />
      <datalist id={list}>
        {allowed?.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      {refused && <Commands lines={`chatroom machine allow ${quoted(folder)}`} />}
    </div>
  );
}

/** Quotes what a shell would take apart. */
const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

// One viewer's connection to the terminal of a run: the other client of it is `chatroom agent attach`.
//
// A newcomer would get wrong: nothing here ends the program. A lost connection is joined again where it broke off,
// and what is typed meanwhile was seen by nobody and is given to nobody.

import type { Schemas } from '../api/client';
import { pause } from '../live/sse';

export type Size = Schemas['TerminalSize'];

/** As `MAX_FRAME` of crates/protocol/src/api/terminal.rs. */
const MOST = 64 * 1024;
const PAUSE = 1000;

export interface Joined {
  state: 'joining' | 'joined' | 'lost' | 'ended';
  /** Whether what is typed here reaches the program. */
  typing: boolean;
  /** Whether anybody types. */
  typed: boolean;
  /** Why the connection was lost. */
  reason?: string;
}

interface Screen {
  write: (bytes: Uint8Array) => void;
  /** Returns how large the screen could be. */
  room: () => Size;
  /** Takes the size the program has. */
  resize: (size: Size) => void;
  onChange: (joined: Joined) => void;
}

type Says =
  | { type: 'joined'; viewer: number; typing: boolean; size: Size; at: number; drawn: number }
  | { type: 'changed'; typing: boolean; typed: boolean; size: Size }
  | { type: 'too_slow' | 'exited' | 'unknown' }
  | { type: 'lost'; reason: string };

export class TerminalLink {
  private readonly runId: string;
  private readonly screen: Screen;
  private readonly stop = new AbortController();
  private socket: WebSocket | undefined;
  private joined: Joined = { state: 'joining', typing: false, typed: false };
  /** How many bytes of the terminal were shown. */
  private at: number | undefined;
  /** How many of those that come draw the screen, and do not count. */
  private drawn = 0;
  private viewer: number | undefined;
  private isOver = false;

  constructor(runId: string, screen: Screen) {
    this.runId = runId;
    this.screen = screen;
  }

  /** Stays until the program is over or this is closed, through whatever happens to the connection. */
  async stay(): Promise<void> {
    while (!this.stop.signal.aborted) {
      const lostBy = await this.connect();
      if (this.stop.signal.aborted || this.joined.state === 'ended') return;
      if (this.isOver) return this.change({ state: 'ended', typing: false });
      // Silence: the screen was only too fast for this tab.
      if (lostBy === 'too_slow') continue;
      this.change({ state: 'lost', typing: false, reason: lostBy });
      await pause(PAUSE, this.stop.signal);
    }
  }

  close(): void {
    this.stop.abort();
    this.socket?.close();
  }

  /** Says that the run is known to be over: a connection that is lost from now on is not joined again. */
  over(): void {
    this.isOver = true;
  }

  type(bytes: Uint8Array): void {
    if (!this.joined.typing || this.socket?.readyState !== WebSocket.OPEN) return;
    for (let from = 0; from < bytes.length; from += MOST) this.socket.send(bytes.slice(from, from + MOST));
  }

  take(): void {
    this.say({ type: 'take' });
  }

  /** Tells the program how large the screen is, which counts while one types here. */
  resized(size: Size): void {
    if (this.joined.typing) this.say({ type: 'resize', size });
  }

  private say(word: { type: 'take' } | { type: 'resize'; size: Size }): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(word));
  }

  /** Shows one connection; returns why it ended. */
  private connect(): Promise<string> {
    const { columns, rows } = this.screen.room();
    const query = new URLSearchParams({ typing: 'free', columns: String(columns), rows: String(rows) });
    if (this.at !== undefined) query.set('from', String(this.at));
    if (this.viewer !== undefined) query.set('replaces', String(this.viewer));
    const socket = new WebSocket(`/api/runs/${this.runId}/terminal?${query}`);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    return new Promise((resolve) => {
      socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
        if (typeof data !== 'string') return this.show(new Uint8Array(data));
        const ended = this.hear(JSON.parse(data) as Says);
        if (ended === undefined) return;
        resolve(ended);
        socket.close();
      };
      socket.onclose = () => resolve('the connection was lost');
    });
  }

  private show(bytes: Uint8Array): void {
    const drawn = Math.min(this.drawn, bytes.length);
    this.drawn -= drawn;
    if (this.at !== undefined) this.at += bytes.length - drawn;
    this.screen.write(bytes);
  }

  private hear(says: Says): string | undefined {
    switch (says.type) {
      case 'joined':
        this.viewer = says.viewer;
        this.at = says.at;
        this.drawn = says.drawn;
        this.change({ state: 'joined', typing: says.typing, typed: true, reason: undefined });
        this.fit(says.size);
        return undefined;
      case 'changed':
        this.change({ typing: says.typing, typed: says.typed });
        this.fit(says.size);
        return undefined;
      case 'too_slow':
        this.at = undefined;
        return 'too_slow';
      case 'exited':
        this.change({ state: 'ended', typing: false });
        return 'exited';
      case 'lost':
        return says.reason;
      default:
        return undefined;
    }
  }

  /** Who types has the size; whoever watches sees it as it is. */
  private fit(size: Size): void {
    const room = this.screen.room();
    if (!this.joined.typing) return this.screen.resize(size);
    this.screen.resize(room);
    if (room.columns !== size.columns || room.rows !== size.rows) this.resized(room);
  }

  private change(change: Partial<Joined>): void {
    this.joined = { ...this.joined, ...change };
    this.screen.onChange(this.joined);
  }
}

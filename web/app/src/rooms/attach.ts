// Files that go along with a message: sent one by one when they are chosen, so that the message itself is quick.

import { useRef, useState } from 'react';
import { unwrap, type Schemas } from '../api/client';
import { tell } from '../ui/act';

export type Attachment = Schemas['AttachmentView'];

/** As many as one message takes. */
export const MOST = 8;
const IMAGE = 5 * 1024 * 1024;
const TEXT = 1024 * 1024;

export interface Chosen {
  key: number;
  name: string;
  /** Once the server has it. */
  sent?: Attachment;
}

export function useAttachments(chatroomId: string) {
  const [chosen, setChosen] = useState<Chosen[]>([]);
  const next = useRef(0);
  const add = (files: Iterable<File>) => {
    let room = MOST - chosen.length;
    for (const file of files) {
      const most = file.type.startsWith('image/') ? IMAGE : TEXT;
      if (room <= 0) return tell(new Error(`A message takes ${MOST} files at most.`));
      if (file.size > most) {
        tell(new Error(`${file.name} is too large: an image may have 5 MB, a text 1 MB.`));
        continue;
      }
      room -= 1;
      const key = (next.current += 1);
      setChosen((before) => [...before, { key, name: file.name }]);
      upload(chatroomId, file).then(
        (sent) => setChosen((before) => before.map((one) => (one.key === key ? { ...one, sent } : one))),
        (error: unknown) => {
          setChosen((before) => before.filter((one) => one.key !== key));
          tell(error);
        },
      );
    }
  };
  return {
    chosen,
    add,
    remove: (key: number) => setChosen((before) => before.filter((one) => one.key !== key)),
    clear: () => setChosen([]),
    /** Whether all of them are there. */
    ready: chosen.every((one) => one.sent),
  };
}

/** Sends a file as it is; the server looks at its bytes for what it is. */
export async function upload(chatroomId: string, file: File): Promise<Attachment> {
  const url = `/api/chatrooms/${chatroomId}/attachments?name=${encodeURIComponent(file.name || 'pasted.png')}`;
  const asked = fetch(url, { method: 'POST', body: file, headers: { 'content-type': 'application/octet-stream' } });
  return unwrap(
    asked.then(async (response) => {
      const body: unknown = await response.json().catch(() => null);
      return response.ok ? { data: body as Attachment, response } : { error: body, response };
    }),
  );
}

export const addressOf = (chatroomId: string, attachment: Attachment) =>
  `/api/chatrooms/${chatroomId}/attachments/${attachment.attachmentId}`;

import { FileText } from 'lucide-react';
import { addressOf, type Attachment } from './attach';

/** The files of a message: images are shown, everything is opened by a click. */
export function Attachments({ roomId, attachments }: { roomId: string; attachments: Attachment[] }) {
  if (attachments.length === 0) return null;
  return (
    <ul className="mt-1 flex flex-wrap gap-2">
      {attachments.map((one) => {
        const address = addressOf(roomId, one);
        return (
          <li key={one.attachmentId}>
            <a
              href={address}
              target="_blank"
              rel="noreferrer"
              title={`${one.name}, ${size(one.size)}`}
              className="flex items-center gap-1.5 overflow-hidden rounded-md border border-line bg-panel hover:border-line-strong"
            >
              {one.contentType.startsWith('image/') ? (
                <img src={address} alt={one.name} loading="lazy" className="max-h-60 max-w-full object-contain" />
              ) : (
                <span className="flex items-center gap-1.5 px-2.5 py-1">
                  <FileText size={14} aria-hidden className="text-quiet" />
                  {one.name} <span className="text-quiet">{size(one.size)}</span>
                </span>
              )}
            </a>
          </li>
        );
      })}
    </ul>
  );
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

import { useId, type ComponentProps, type ReactNode } from 'react';
import { cx } from './cx';

export const inputLook =
  'w-full rounded-md border border-line-strong bg-panel px-2.5 text-ink disabled:opacity-60 aria-invalid:border-red';

interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  error?: ReactNode;
  className?: string | undefined;
  children: (props: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean | undefined }) => ReactNode;
}

/** A label, what is to be filled in, and what to know about it. */
export function Field({ label, hint, error, className, children }: FieldProps) {
  const id = useId();
  const about = error || hint ? `${id}-about` : undefined;
  return (
    <div className={cx('flex flex-col gap-1', className)}>
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children({ id, 'aria-describedby': about, 'aria-invalid': error ? true : undefined })}
      {about && (
        <div id={about} className={cx('text-sm', error ? 'text-red' : 'text-quiet')}>
          {error || hint}
        </div>
      )}
    </div>
  );
}

type TextFieldProps = Omit<FieldProps, 'children'> & ComponentProps<'input'>;

export function TextField({ label, hint, error, className, ...input }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} className={className}>
      {(props) => <input {...props} {...input} className={cx(inputLook, 'h-8 pointer-coarse:h-10')} />}
    </Field>
  );
}

interface Choice {
  value: string;
  label: string;
  disabled?: boolean | undefined;
}

type SelectFieldProps = Omit<FieldProps, 'children'> & ComponentProps<'select'> & { choices: Choice[] };

/** A choice among a few: the browser's own, which works with thumbs, keys and screen readers alike. */
export function SelectField({ label, hint, error, className, choices, ...select }: SelectFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} className={className}>
      {(props) => (
        <select {...props} {...select} className={cx(inputLook, 'h-8 pointer-coarse:h-10')}>
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value} disabled={choice.disabled}>
              {choice.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

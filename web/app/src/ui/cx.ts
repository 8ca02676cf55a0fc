import { clsx, type ClassValue } from 'clsx';

export const cx = (...classes: ClassValue[]) => clsx(classes);

// Names, ages, times and spans as people read them. Pure: the language and the present moment are given.

const ZH = 'zh';

/** A DICOM person name (PS3.5 §6.2.1.2): `Family^Given=幻影^头`; the Chinese form first for Chinese readers. */
export function personName(value: string, language: string): string {
  const [alphabetic = '', ideographic = ''] = value.split('=');
  const [family = '', given = '', middle = ''] = alphabetic.split('^');
  const latin = [family, [given, middle].filter(Boolean).join(' ')].filter(Boolean).join(', ');
  const han = ideographic.split('^').filter(Boolean).join('');
  return (language === ZH ? [han, latin] : [latin, han]).filter(Boolean).join(' ') || '—';
}

function digits(date: string | null): string {
  return (date ?? '').slice(0, 10).replace(/\D/g, ''); // ACR-NEMA wrote 1997.04.24
}

/** A DICOM date (`20260105`) or an ISO one as `2026-01-05`. */
export function day(date: string | null): string {
  const text = digits(date);
  return text.length === 8 ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : '—';
}

/** When a study began, by the clock of the place: `2026-01-05 14:03`, with `UTC+08:00` where that is known. */
export function begun(date: string | null, time: string | null, offset = ''): string {
  const at = /^(\d\d):?(\d\d)/.exec(time ?? '');
  const zone = /^([+-]\d\d)(\d\d)$/.exec(offset);
  return [day(date), at ? `${at[1]}:${at[2]}` : '', at && zone ? `UTC${zone[1]}:${zone[2]}` : ''].filter(Boolean).join(' ');
}

/** The same moment as an RFC 3339 time; empty where it is not known. */
export function begunAt(date: string | null, time: string | null, offset = ''): string {
  const [, hour, minute] = /^(\d\d):?(\d\d)/.exec(time ?? '') ?? [];
  const [, hours, minutes] = /^([+-]\d\d)(\d\d)$/.exec(offset) ?? [];
  const at = `${day(date)}T${hour}:${minute}:00${hours}:${minutes}`;
  return hour && hours && !Number.isNaN(Date.parse(at)) ? at : '';
}

export interface Age {
  number: number;
  unit: 'years' | 'months' | 'days';
}

/** The age at a day: in years from two years on, below that in months, below two months in days. */
export function age(born: string | null, at: string | null): Age | null {
  const from = Date.parse(day(born));
  const to = Date.parse(day(at));
  if (Number.isNaN(from) || Number.isNaN(to) || to < from) {
    return null;
  }
  const [start, end] = [new Date(from), new Date(to)];
  const early = end.getUTCDate() < start.getUTCDate() ? 1 : 0;
  const months =
    (end.getUTCFullYear() - start.getUTCFullYear()) * 12 + end.getUTCMonth() - start.getUTCMonth() - early;
  if (months >= 24) {
    return { number: Math.floor(months / 12), unit: 'years' };
  }
  return months >= 2
    ? { number: months, unit: 'months' }
    : { number: Math.round((to - from) / 86_400_000), unit: 'days' };
}

/** A span as hours and minutes, `2:05 h` or `38 min`; days from two days on. */
export function span(milliseconds: number, language = 'en'): string {
  const [d, h, min] = language === ZH ? ['天', '小时', '分钟'] : ['d', 'h', 'min'];
  const minutes = Math.floor(Math.abs(milliseconds) / 60_000);
  if (minutes >= 2880) {
    return `${Math.floor(minutes / 1440)} ${d}`;
  }
  return minutes < 60 ? `${minutes} ${min}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')} ${h}`;
}

/** A time to come as people say it: `4 min`, below a minute in steps of ten seconds. */
export function about(seconds: number, language = 'en'): string {
  if (seconds < 55) {
    return `${Math.max(10, Math.ceil(seconds / 10) * 10)} ${language === ZH ? '秒' : 's'}`;
  }
  return span(Math.max(60, Math.round(seconds / 60) * 60) * 1000, language);
}

/** A number of bytes in units of 1000, with three digits. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = count < 1000 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return `${Number((count / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

/** The time of day of an RFC 3339 moment, in the reader's own zone. */
export function clock(at: string, seconds = false): string {
  const options: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  return new Intl.DateTimeFormat('en-GB', seconds ? { ...options, second: '2-digit' } : options).format(new Date(at));
}

/** Day and time of an RFC 3339 moment, in the reader's own zone. */
export function moment(at: string): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}

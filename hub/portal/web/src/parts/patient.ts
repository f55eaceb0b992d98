// One line about a patient: sex and age in words of the reader's language.
import { t, word } from '../i18n.ts';
import { age } from '../format.ts';
import type { Case } from '../types.ts';

export function sexAndAge(item: Case): string {
  const years = age(item.patient.birth_date, item.study_date ?? item.received_at.slice(0, 10));
  const old = years ? t(`age.${years.unit}`, { number: years.number }) : '';
  return [word('sex', item.patient.sex || 'unknown'), old].filter(Boolean).join(' · ');
}

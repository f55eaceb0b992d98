// Measurements as lines of a report: the stored values, never what the screen happened to show.
import type { ViewerMeasurement } from '../../ohif/messages.ts';
import { t } from '../i18n.ts';

export function asLines(measured: readonly ViewerMeasurement[]): string {
  return measured
    .filter((item) => item.values.length > 0)
    .map((item) => {
      const name = item.label || item.tool || t('measure.unnamed');
      return `- ${name}: ${item.values.join(', ')}`;
    })
    .join('\n');
}

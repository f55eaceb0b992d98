// Taking a study as complete with what is here, with the reason in the person's words.
import { customElement } from 'lit/decorators.js';
import { ReturnDialog } from './return-dialog.ts';

@customElement('tr-complete')
export class CompleteDialog extends ReturnDialog {
  protected override kind = 'complete' as const;
}

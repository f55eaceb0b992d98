// A component that is one native modal dialog: the browser keeps the focus inside and gives it back.
import { Localised } from '../i18n.ts';

export class Dialog extends Localised {
  protected get box(): HTMLDialogElement | null {
    return this.renderRoot.querySelector('dialog');
  }

  async show(): Promise<void> {
    await this.updateComplete;
    if (!this.box?.open) {
      this.box?.showModal();
    }
  }

  close(): void {
    this.box?.close();
  }
}

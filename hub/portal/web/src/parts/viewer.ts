// OHIF in a frame. The frame never changes its size while someone measures: a frame that grows during a drag
// makes the viewer store a wrong length.
import { css, html } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import type { ViewerMeasurement, ViewerMessage } from '../../ohif/messages.ts';
import { Localised, language, t } from '../i18n.ts';

@customElement('tr-viewer')
export class Viewer extends Localised {
  @property() address = '';

  static override styles = css`
    :host {
      display: block;
      contain: strict;
      background: #000;
    }
    iframe {
      display: block;
      width: 100%;
      height: 100%;
      border: 0;
    }
  `;

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('message', this.hear);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('message', this.hear);
  }

  private readonly hear = (event: MessageEvent<ViewerMessage>): void => {
    const frame = this.renderRoot.querySelector('iframe');
    if (event.origin !== window.location.origin || event.source !== frame?.contentWindow) {
      return;
    }
    if (event.data?.from === 'viewer' && event.data.kind === 'measurements') {
      this.dispatchEvent(new CustomEvent<ViewerMeasurement[]>('measured', { detail: event.data.items }));
    }
  };

  override render() {
    const url = new URL(this.address, window.location.origin);
    url.searchParams.set('lng', language());
    // Nothing but our own viewer may stand beside a report.
    const trusted = url.origin === window.location.origin && url.pathname.startsWith('/ohif/');
    return trusted ? html`<iframe src=${url.href} title=${t('viewer.title')}></iframe>` : html``;
  }
}

/** The same study beside an earlier one of the same patient. */
export function comparing(viewer: string, prior: string): string {
  const url = new URL(viewer, window.location.origin);
  url.searchParams.set('StudyInstanceUIDs', `${url.searchParams.get('StudyInstanceUIDs') ?? ''},${prior}`);
  url.searchParams.set('hangingprotocolId', '@ohif/hpCompare');
  return url.pathname + url.search;
}

/** The same again, with all the images that are there by now. */
export function reopened(viewer: string, images: number): string {
  const url = new URL(viewer, window.location.origin);
  url.searchParams.set('images', String(images)); // another address, so that the frame is loaded anew
  return url.pathname + url.search;
}

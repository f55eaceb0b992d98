// A QR code drawn in the page itself: the secret in it goes nowhere else.
import { css, html, LitElement, svg } from 'lit';
import { customElement, property } from 'lit/decorators.js';
import { encode } from 'uqr';

@customElement('tr-qr')
export class Qr extends LitElement {
  @property() text = '';
  @property() label = '';

  static override styles = css`
    svg {
      width: 13rem;
      height: 13rem;
      border-radius: 8px;
      background: #fff;
    }
  `;

  override render() {
    const { data, size } = encode(this.text, { ecc: 'M', border: 3 });
    const path = data
      .flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : '')))
      .join('');
    return html`<svg viewBox="0 0 ${size} ${size}" role="img" aria-label=${this.label} shape-rendering="crispEdges">
      ${svg`<path d=${path} fill="#000" />`}
    </svg>`;
  }
}

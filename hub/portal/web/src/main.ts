import { html, LitElement } from 'lit';
import { customElement } from 'lit/decorators.js';

@customElement('tr-app')
export class App extends LitElement {
  override render() {
    return html`<h1>Telerad</h1>`;
  }
}
document.body.append(document.createElement('tr-app'));

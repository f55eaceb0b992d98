// What every component of the portal looks like: type, buttons, fields, visible focus.
import { css } from 'lit';

export const shared = css`
  :host {
    box-sizing: border-box;
    color: var(--text);
  }
  *,
  *::before,
  *::after {
    box-sizing: inherit;
  }
  h1,
  h2,
  h3,
  p {
    margin: 0;
  }
  h2 {
    font-size: 1rem;
    color: var(--strong);
  }
  a {
    color: var(--accent);
  }
  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  button,
  input,
  select,
  textarea {
    font: inherit;
    color: inherit;
  }
  button {
    padding: 0.4rem 0.85rem;
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--raised);
    cursor: pointer;
  }
  button:hover:not(:disabled) {
    background: var(--hover);
    border-color: var(--accent);
  }
  button:disabled {
    opacity: 0.55;
    cursor: not-allowed;
  }
  button.main {
    background: var(--accent);
    border-color: var(--accent);
    color: var(--on-accent);
    font-weight: 600;
  }
  button.main:hover:not(:disabled) {
    filter: brightness(1.1);
    background: var(--accent);
  }
  button.plain {
    background: none;
    border-color: transparent;
  }
  input,
  select,
  textarea {
    padding: 0.45rem 0.65rem;
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--ground);
  }
  input:focus-visible,
  textarea:focus-visible,
  select:focus-visible {
    outline-offset: -1px;
  }
  label {
    display: block;
  }
  .quiet {
    color: var(--quiet);
  }
  .numbers {
    font-variant-numeric: tabular-nums;
  }
  .chip {
    display: inline-block;
    padding: 0.05rem 0.5rem;
    border-radius: 999px;
    background: var(--routine-ground);
    color: var(--routine);
    font-size: 0.86rem;
    white-space: nowrap;
  }
  .chip.stat {
    background: var(--stat-ground);
    color: var(--stat);
    font-weight: 700;
  }
  .chip.urgent {
    background: var(--urgent-ground);
    color: var(--urgent);
    font-weight: 600;
  }
  .chip.good {
    background: var(--good-ground);
    color: var(--good);
  }
  .chip.accent {
    background: var(--accent-ground);
    color: var(--accent);
  }
  .notice {
    padding: 0.6rem 0.8rem;
    border-radius: var(--radius);
    border-left: 3px solid var(--accent);
    background: var(--accent-ground);
    color: var(--text);
  }
  .notice.bad {
    border-color: var(--stat);
    background: var(--stat-ground);
  }
  .notice.warn {
    border-color: var(--urgent);
    background: var(--urgent-ground);
  }
  .unseen {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  dialog {
    width: min(46rem, 92vw);
    max-height: 88vh;
    padding: 1.2rem 1.4rem;
    border: 1px solid var(--line);
    border-radius: 12px;
    background: var(--surface);
    color: var(--text);
    box-shadow: var(--shadow);
  }
  dialog::backdrop {
    background: rgb(0 0 0 / 60%);
  }
  dialog h2 {
    margin-bottom: 0.8rem;
    font-size: 1.15rem;
  }
  .actions {
    display: flex;
    flex-wrap: wrap;
    justify-content: flex-end;
    gap: 0.6rem;
    margin-top: 1rem;
  }
`;

/** A page that scrolls as a whole. */
export const scrolling = css`
  :host {
    display: block;
    height: 100%;
    overflow: auto;
  }
`;

/** Fields of a form, one below the other. */
export const fields = css`
  form {
    display: grid;
    gap: 0.8rem;
  }
  input,
  textarea {
    width: 100%;
    margin-top: 0.25rem;
  }
  textarea {
    min-height: 5rem;
  }
`;

// Two texts of the same report, section by section.
import type { Body } from '../types.ts';

export const SECTIONS = ['clinical_question', 'technique', 'comparison', 'findings', 'impression'] as const;
export type Section = (typeof SECTIONS)[number];

/** The sections in which two texts differ. */
export function differing(a: Body, b: Body): Section[] {
  return SECTIONS.filter((section) => a[section] !== b[section]);
}

/** Both texts of every differing section, one under the other: nothing is lost, a person tidies up. */
export function join(mine: Body, theirs: Body): Body {
  const joined = { ...mine, critical: mine.critical || theirs.critical };
  for (const section of differing(mine, theirs)) {
    joined[section] = [mine[section], theirs[section]].filter((text) => text.trim()).join('\n\n———\n\n');
  }
  return joined;
}

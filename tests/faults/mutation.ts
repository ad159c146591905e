/** Plants the bugs of mutants.ts one by one, and sends out the hunt for each. */
import { copyTree, type Tree } from './harness/tree.ts';
import { hunts } from './hunts.ts';
import type { Mutant, Plant } from './mutant.ts';

export interface Verdict {
  readonly mutant: Mutant;
  /** What fired in the mutant; empty means that it got away. */
  readonly caught: readonly string[];
  /** What fired in the sound copy; anything here makes the hunt worthless. */
  readonly falseAlarms: readonly string[];
}

function plantAll(tree: Tree, plants: readonly Plant[]): () => void {
  const undo: (() => void)[] = [];
  for (const { file, find, replace } of plants) undo.unshift(tree.plant(file, find, replace));
  return () => {
    for (const one of undo) one();
  };
}

/** Runs each hunt on the sound sources once, and on every mutant that it is for. */
export async function huntMutants(
  mutants: readonly Mutant[],
  done: (verdict: Verdict) => void = () => {},
): Promise<Verdict[]> {
  const tree = copyTree();
  const sound = new Map<string, readonly string[]>();
  const verdicts: Verdict[] = [];
  try {
    for (const mutant of mutants) {
      const given = mutant.given ?? [];
      const undoGiven = plantAll(tree, given);
      const setting = `${mutant.hunt} ${JSON.stringify(given)}`;
      if (!sound.has(setting)) sound.set(setting, await hunts[mutant.hunt](tree.root));
      const undo = plantAll(tree, mutant.plants);
      const caught = await hunts[mutant.hunt](tree.root);
      undo();
      undoGiven();
      const verdict = { mutant, caught, falseAlarms: sound.get(setting) ?? [] };
      verdicts.push(verdict);
      done(verdict);
    }
    return verdicts;
  } finally {
    tree.remove();
  }
}

/** `money-disagrees-with-order, client` */
export function describeCatch({ caught }: Verdict): string {
  const names = new Set(caught.map((violation) => violation.split(':')[0]));
  return names.size === 0 ? 'NOTHING' : [...names].join(', ');
}

/** Nothing of a run outlives the harness, however it ends. */
const endings = new Set<() => void>();

process.once('exit', () => {
  for (const end of endings) end();
});

/** Does this when the harness's process ends, unless it was taken back before. */
export function atExit(end: () => void): () => void {
  endings.add(end);
  return () => void endings.delete(end);
}

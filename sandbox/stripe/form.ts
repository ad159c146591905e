/** A form as Stripe's SDK writes it: `amount=100&metadata[order_id]=x&expand[0]=charge`. */
export interface Form {
  readonly [name: string]: string | Form;
}

interface Growing {
  [name: string]: string | Growing;
}

export function parseForm(text: string): Form {
  const form: Growing = {};
  for (const [path, value] of new URLSearchParams(text)) {
    const names = path.split(/\[|\]\[|\]/).filter((name) => name !== '');
    const last = names.pop();
    if (last === undefined) continue;
    let at = form;
    for (const name of names) {
      const below = at[name];
      at = typeof below === 'object' ? below : (at[name] = {});
    }
    at[last] = value;
  }
  return form;
}

/** The text under a name; empty when there is none. */
export function textIn(form: Form, name: string): string {
  const value = form[name];
  return typeof value === 'string' ? value : '';
}

/** The form under a name; empty when there is none. */
export function formIn(form: Form, name: string): Form {
  const value = form[name];
  return typeof value === 'object' ? value : {};
}

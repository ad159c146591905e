/**
 * Where mailed links lead: a page to confirm an e-mail address, and one to choose a new password.
 * The link's token stands after the number sign, so that no server is sent it before the person
 * acts; the page forgets it from the address at once. Addresses are relative, because PUBLIC_URL
 * may lie below a path.
 */
import { SCRIPT, STYLE, type Asset } from './assets.ts';
import { startStyle } from './start-page.ts';

const style = `${startStyle}
main { max-width: 30rem; }
h1 { font-size: 1.8rem; }
form { display: grid; gap: .9rem; padding: 1.4rem; border: 1px solid var(--line);
  border-radius: .7rem; background: var(--card); }
label { display: grid; gap: .3rem; color: var(--soft); }
input, button { font: inherit; padding: .6rem .8rem; border-radius: .5rem;
  border: 1px solid var(--line); background: var(--ground); color: var(--ink); }
button { background: var(--accent); border-color: var(--accent); color: var(--card);
  font-weight: 600; cursor: pointer; }
button:disabled { opacity: .5; cursor: default; }
:is(input, button):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
output { display: block; margin-top: 1rem; }
[hidden] { display: none; }
`;

/** What the two pages do; the form says where to, and what is told afterwards. */
const script = `
const form = document.querySelector('form');
const told = document.querySelector('output');
const button = form.querySelector('button');
const password = form.querySelector('input[type=password]');
const token = new URLSearchParams(location.hash.slice(1)).get('token');
history.replaceState(null, '', location.pathname);

function tell(text, done) {
  told.textContent = text;
  form.hidden = done;
}

async function send() {
  const body = password === null ? { token } : { token, password: password.value };
  const reply = await fetch(form.dataset.to, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (reply.ok) return tell(form.dataset.done, true);
  const { code, detail, errors } = await reply.json().catch(() => ({}));
  if (code === 'invalid_link') return tell(form.dataset.late, true);
  const fault = errors?.find(({ pointer }) => pointer === '/password');
  const text = fault === undefined ? detail : 'The password ' + fault.detail + '.';
  tell(text ?? 'That did not work. Please try again in a moment.', false);
}

if (token === null) tell(form.dataset.late, true);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  button.disabled = true;
  send()
    .catch(() => tell('The server cannot be reached. Please try again in a moment.', false))
    .finally(() => { button.disabled = false; });
});
`;

function page(title: string, lead: string, form: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} – Waybill</title>
<link rel="icon" href="../icon.svg">
<link rel="stylesheet" href="account.css">
</head>
<body>
<main>
<h1>${title}</h1>
<p class="lead">${lead}</p>
${form}
<output aria-live="polite"></output>
</main>
<script src="account.js"></script>
</body>
</html>
`;
}

/** The pages, by path. */
export const accountPages: Readonly<Record<string, string>> = {
  '/account/verify': page(
    'Confirm your e-mail address',
    'One click, and we know that it is yours.',
    `<form data-to="../api/v1/auth/verify-email"
  data-done="Thank you, your address is confirmed."
  data-late="This link is not good any more. Log in to have another one sent.">
<button>Confirm</button>
</form>`,
  ),
  '/account/reset': page(
    'Choose a new password',
    'You will be logged out everywhere else.',
    `<form data-to="../api/v1/auth/password-reset/confirm"
  data-done="Your password is changed. You can log in with it now."
  data-late="This link is not good any more. Ask for a new one.">
<label>New password
<input type="password" autocomplete="new-password" required maxlength="1024">
</label>
<button>Change the password</button>
</form>`,
  ),
};

export const accountAssets: Readonly<Record<string, Asset>> = {
  '/account/account.js': { type: SCRIPT, from: { text: script } },
  '/account/account.css': { type: STYLE, from: { text: style } },
};

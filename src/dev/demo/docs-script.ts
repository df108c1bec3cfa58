import type { Cast } from './people.ts'

/** Runs in the browser, beside the page's own scripts. */
export function peopleScript({ alice, bob, carol, dave, tabletToken }: Cast): string {
  const people = [
    ...[alice, bob, carol, dave].map(({ name, about, userId, token }) => ({ name, about, userId, token })),
    { name: "alice's tablet", about: 'is not trusted', userId: alice.userId, token: tabletToken },
  ]
  return `const people = ${JSON.stringify(people)}\n${script}`
}

const styles = `
.people { max-width: 1460px; margin: 20px auto 0; padding: 0 20px; box-sizing: border-box;
  font: 14px/1.5 sans-serif; color: #3b4151; }
.people h2 { margin: 0; font-size: 18px; }
.people ul { display: grid; gap: 6px; margin: 8px 0 0; padding: 0; list-style: none; }
.people li { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center; }
.people button { width: 160px; padding: 5px 10px; border: 2px solid #12784d; border-radius: 4px; background: none;
  color: #12784d; font: inherit; font-weight: bold; cursor: pointer; }
.people button[aria-pressed='true'] { background: #12784d; color: #fff; }
.people code { font: 13px monospace; user-select: all; overflow-wrap: anywhere; }
.dark-mode .people { color: #e4e6e6; }
.dark-mode .people button { border-color: #3ecf8e; color: #3ecf8e; }
.dark-mode .people button[aria-pressed='true'] { background: #3ecf8e; color: #10211a; }
`

// The page keeps what it has made to itself: it is caught where the library is called. From then on each button enters a
// token as the dialog "Authorize" does.
const script = `
const styleSheet = document.createElement('style')
styleSheet.textContent = ${JSON.stringify(styles)}
document.head.append(styleSheet)

let page
window.SwaggerUIBundle = new Proxy(window.SwaggerUIBundle, {
  apply(bundle, self, [config]) {
    page = Reflect.apply(bundle, self, [{ ...config, onComplete: () => become(0) }])
    return page
  },
})

const list = document.createElement('ul')
const buttons = people.map(({ name, about, userId }, index) => {
  const [item, button, id] = ['li', 'button', 'code'].map((tag) => document.createElement(tag))
  button.textContent = 'Be ' + name
  button.onclick = () => become(index)
  id.textContent = userId
  item.append(button, id, about)
  list.append(item)
  return button
})

function become(index) {
  page.preauthorizeApiKey('bearerAuth', people[index].token)
  for (const [at, button] of buttons.entries()) button.setAttribute('aria-pressed', String(at === index))
}

const [box, title] = ['section', 'h2'].map((tag) => document.createElement(tag))
box.className = 'people'
title.textContent = 'The people of this demo'
box.append(title, 'Choose who you are, open the call, press "Try it out", then "Execute". Bob is the receiver.', list)
document.body.prepend(box)
`

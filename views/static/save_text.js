// What a page has computed is saved from the browser, which has it: nothing is asked of the server again.
const LASTING_MS = 10000;

function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), LASTING_MS);
}

export default function ({ data, parentElement }) {
  let button = parentElement.querySelector(".wattle-page-button");
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.className = "wattle-page-button";
    parentElement.append(button);
  }
  button.textContent = data.label;
  button.onclick = () => save(data.text, data.name);
}

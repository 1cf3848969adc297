// The address of the page has all its settings: Streamlit keeps them there as they are changed.
const SHOWN_MS = 2000;

// Browsers give a page the clipboard over https and on this machine only; a field to copy from works anywhere.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.style.position = "fixed";
  field.style.opacity = "0";
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

export default function ({ parentElement }) {
  if (parentElement.querySelector(".wattle-page-button")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "wattle-page-button";
  button.textContent = "Copy link";
  button.title = "The link leads to this comparison with all its settings.";
  button.setAttribute("aria-live", "polite");
  button.onclick = async () => {
    const isCopied = await copy(window.location.href).catch(() => false);
    button.textContent = isCopied ? "Copied" : "Copy the address of the page";
    setTimeout(() => (button.textContent = "Copy link"), SHOWN_MS);
  };
  parentElement.append(button);
}

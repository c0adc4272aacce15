// Gmail's own links name a place after the "#"; here each place is a page.
function follow() {
  const columns = document.querySelector("[data-mail-root]");
  const place = decodeURIComponent(location.hash.slice(1));
  if (!columns || !place) return;
  const root = columns.dataset.mailRoot;
  const message = place.match(/^(?:inbox|sent|all|drafts)\/([0-9a-f]+)$/);
  if (place.startsWith("settings")) location.replace(root + "settings/accounts");
  else if (message) location.replace(root + "message/" + message[1]);
  else if (place === "sent" || place === "drafts") location.replace(root + place);
}

function selectAll(group) {
  const all = group.querySelector("[data-all]");
  const boxes = [...group.querySelectorAll("input[type=checkbox]")].filter((box) => box !== all);
  const look = () => {
    all.checked = boxes.every((box) => box.checked);
    all.indeterminate = !all.checked && boxes.some((box) => box.checked);
  };
  all.closest("[hidden]").hidden = false;
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
  boxes.forEach((box) => box.addEventListener("change", look));
  look();
}

addEventListener("hashchange", follow);
follow();
document.querySelectorAll("[data-all-of]").forEach(selectAll);

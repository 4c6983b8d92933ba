for (const select of document.querySelectorAll("select[data-list]")) {
  const rows = document.getElementById(select.dataset.list).children;
  select.closest(".filter").hidden = false;
  select.addEventListener("change", () => {
    for (const row of rows) {
      row.hidden = select.value !== "" && !row.dataset.label.split(" ").includes(select.value);
    }
  });
}

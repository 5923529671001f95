// Keeps the report of a model in step with its controls: asks for it at each movement, and writes the address.
"use strict";

{
  const form = document.getElementById("controls");
  const report = document.getElementById("report");
  const problem = document.getElementById("problem");
  const exports = [...document.querySelectorAll("[data-export]")];
  let asking = false;
  let wanted = null;
  let shown = changed();

  /** What differs from the worked example, as a query. */
  function changed() {
    const query = new URLSearchParams();
    for (const control of form.elements) {
      if (control.name && control.value !== control.dataset.usual) query.set(control.name, control.value);
    }
    return query.toString();
  }

  function label(control) {
    const output = control.parentElement.querySelector("output");
    if (!output) return;
    const number = Number(control.value).toLocaleString("en", { maximumFractionDigits: 6 });
    output.textContent = number + output.dataset.unit;
    control.setAttribute("aria-valuetext", output.textContent);
  }

  /** One question at a time; of those that came meanwhile only the last is asked. */
  async function follow() {
    wanted = changed();
    if (asking) return;
    asking = true;
    report.setAttribute("aria-busy", "true");
    while (wanted !== null && wanted !== shown) {
      const query = wanted;
      wanted = null;
      await ask(query);
      shown = query;
    }
    report.setAttribute("aria-busy", "false");
    asking = false;
  }

  async function ask(query) {
    const suffix = query ? `?${query}` : "";
    try {
      const answer = await fetch(form.dataset.fragment + suffix, { cache: "no-store", redirect: "error" });
      const text = await answer.text();
      problem.hidden = answer.ok;
      if (answer.ok) {
        const fresh = document.createElement("template");
        fresh.innerHTML = text;
        const open = [...report.querySelectorAll("details")].map((detail) => detail.open);
        report.replaceChildren(fresh.content);
        [...report.querySelectorAll("details")].forEach((detail, at) => (detail.open = open[at] ?? false));
      } else {
        problem.textContent = text;
      }
    } catch {
      problem.hidden = false;
      problem.textContent = "The server does not answer; the figures below are the last that it gave.";
    }
    history.replaceState(null, "", location.pathname + suffix);
    for (const link of exports) link.href = link.dataset.export + suffix;
  }

  form.addEventListener("input", (event) => {
    label(event.target);
    follow();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    follow();
  });
  for (const control of form.elements) if (control.type === "range") label(control);
  document.getElementById("apply").hidden = true;
  document.documentElement.dataset.sliders = "ready";
}

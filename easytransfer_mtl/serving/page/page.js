"use strict";

const TEXTS = {
  zh: {
    other: "English",
    about: "输入一句话，查看所有单句任务的标签；再输入第二句，查看句对任务的标签。",
    aboutSingle: "输入一句话，查看各任务的标签。",
    aboutPairs: "输入两句话，查看各任务的标签。",
    first: "第一句",
    second: "第二句（可不填）",
    secondNeeded: "第二句",
    send: "预测",
    working: "预测中…",
    unreachable: "无法连接服务器。",
  },
  en: {
    other: "中文",
    about: "Type a sentence to see its labels in every task that reads one; add a second to see those of tasks with pairs.",
    aboutSingle: "Type a sentence to see its labels in every task.",
    aboutPairs: "Type two sentences to see their labels in every task.",
    first: "First sentence",
    second: "Second sentence (optional)",
    secondNeeded: "Second sentence",
    send: "Predict",
    working: "Predicting…",
    unreachable: "The server cannot be reached.",
  },
};

const at = (id) => document.getElementById(id);
let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let tasks = [];
let working = false;

function show() {
  const words = TEXTS[language];
  const counts = new Set(tasks.map((task) => task.texts));
  const pairs = counts.has(2);
  const single = counts.has(1);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  at("language").textContent = words.other;
  at("about").textContent = !pairs ? words.aboutSingle : single ? words.about : words.aboutPairs;
  for (const element of document.querySelectorAll("[data-text]")) {
    const needed = element.dataset.text === "second" && !single;
    element.textContent = words[needed ? "secondNeeded" : element.dataset.text];
  }
  if (working) {
    at("send").textContent = words.working;
  }
  at("pair").hidden = !pairs;
  at("second").required = pairs && !single;
  at("send").disabled = working;
}

function made(kind, name, text) {
  const element = document.createElement(kind);
  element.className = name;
  // Labels and messages hold what users wrote: text, never markup.
  element.textContent = text;
  return element;
}

function card(task, result) {
  const section = document.createElement("section");
  const named = (label) => (task.labels[label] === label ? label : `${label} ${task.labels[label]}`);
  const isNumber = result.number !== undefined;
  const found = isNumber ? [] : (result.labels ?? [result.label]);
  const winner = isNumber ? String(Number(result.number.toPrecision(4))) : found.map(named).join(", ") || "–";
  if (result.entities) {
    const each = result.entities.map((entity) => `${entity.text} ${entity.label}`);
    section.append(made("h2", "", task.name), made("p", "winner", each.join(", ") || "–"));
    return section;
  }
  section.append(made("h2", "", task.name), made("p", "winner", winner));
  const shares = Object.keys(task.labels).map((label) => [label, result.probabilities[label]]);
  shares.sort((one, other) => other[1] - one[1]);
  for (const [label, share] of shares) {
    const row = made("div", found.includes(label) ? "label best" : "label", "");
    const name = made("span", "name", named(label));
    name.title = named(label);
    const bar = made("div", "bar", "");
    bar.style.width = `${100 * share}%`;
    row.append(name, bar, made("span", "share", `${(100 * share).toFixed(1)}%`));
    section.append(row);
  }
  return section;
}

async function answerOf(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(TEXTS[language].unreachable);
  }
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.error);
  }
  return answer;
}

async function predict(event) {
  event.preventDefault();
  const [first, second] = [at("first").value, at("second").value];
  const texts = second.trim() && !at("pair").hidden ? [first, second] : first;
  working = true;
  show();
  at("problem").textContent = "";
  try {
    const { results } = await answerOf("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ texts: [texts] }),
    });
    at("results").replaceChildren(...tasks.filter((task) => results[task.name]).map((task) => card(task, results[task.name][0])));
  } catch (error) {
    at("results").replaceChildren();
    at("problem").textContent = error.message;
  }
  working = false;
  show();
}

function submitOnEnter(event) {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("form").requestSubmit();
  }
}

at("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  show();
});
at("form").addEventListener("submit", predict);
at("first").addEventListener("keydown", submitOnEnter);
at("second").addEventListener("keydown", submitOnEnter);
show();
answerOf("tasks")
  .then((answer) => {
    tasks = answer.tasks;
    show();
  })
  .catch((error) => {
    at("problem").textContent = error.message;
  });

"use strict";

// Swagger UI is dark where the root element says so.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

// The token typed into "Authorize" stays in memory and is gone on reload.
SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "/openapi.json",
  // Links such as /docs#not_found lead to the problem codes, so that the
  // viewer may not use the fragment.
  deepLinking: false,
  validatorUrl: null,
  persistAuthorization: false,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // The viewer fills the page late; the browser has looked for the fragment by then.
  onComplete: () => document.getElementById(location.hash.slice(1))?.scrollIntoView(),
});

// The reference of REST, from /openapi.json. Calls that are tried here are the caller's.
import { admitted, authorization } from "./caller.js";

const main = document.getElementById("reference");
await admitted(main);
SwaggerUIBundle({
  domNode: main,
  url: "openapi.json",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  validatorUrl: null, // it would be another host
  requestInterceptor(request) {
    if (authorization() && !request.headers.Authorization) request.headers.Authorization = authorization();
    return request;
  },
});

// The API beside this page describes itself; nobody else is asked, not even whether the description is good.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#api", validatorUrl: null });

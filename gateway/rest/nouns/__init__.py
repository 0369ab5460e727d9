"""The endpoints of REST, a module or folder for each noun. Large ones are split into requests, answers, handlers, endpoints."""

"""What every REST call shares: declaration, check of requests, envelope, OpenAPI. It knows no noun of the field."""

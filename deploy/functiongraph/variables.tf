variable "name" {
  description = "What all names begin with."
  type        = string
  default     = "registrar"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}[a-z0-9]$", var.name))
    error_message = "2 to 41 lower-case letters, digits and hyphens, with a letter first and no hyphen last."
  }
}

variable "region" {
  description = "Where the functions run: where traces of global services are. That is cn-north-4, or ap-southeast-1 on the international site."
  type        = string
  default     = "cn-north-4"
}

variable "region_id" {
  description = "The region of IAM Identity Center: the one that is registered, and the only one that an event may name. Registering it can't be undone."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)+$", var.region_id)) && length(var.region_id) <= 64
    error_message = "A region such as cn-north-4."
  }
}

variable "administrators" {
  description = "Which account administers which service, such as service.SecMaster=id:<account id>: what shall be, and all that may be. docs/configuration.md has the rules."
  type        = list(string)
  validation {
    condition = length(var.administrators) > 0 && alltrue([
      for rule in var.administrators : can(regex("^[A-Za-z0-9._-]{1,100}=(id:[A-Za-z0-9_-]{1,64}|name:[^,<>]{1,128})$", rule))
    ])
    error_message = "One or more rules, each <service principal>=id:<account id> or <service principal>=name:<account name>."
  }
}

variable "trusted_services" {
  description = "The services that shall have trusted access, and the only ones that an event may name. Empty means those of administrators."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for service in var.trusted_services : can(regex("^[A-Za-z0-9._-]{1,100}$", service))])
    error_message = "Service principals such as service.SecMaster."
  }
}

variable "account_ready_minutes" {
  description = "How long a new account may be unknown to Organizations. Events are tried again for four times as long, if FunctionGraph's tries last."
  type        = number
  default     = 15
  validation {
    condition     = var.account_ready_minutes >= 1 && var.account_ready_minutes <= 360 && floor(var.account_ready_minutes) == var.account_ready_minutes
    error_message = "1 to 360 whole minutes: FunctionGraph keeps no event longer than a day."
  }
}

variable "audit_every" {
  description = "How often the organization is audited: 1m to 60m, 1h to 24h, or 1d to 30d."
  type        = string
  default     = "15m"
  validation {
    condition     = can(regex("^(([1-9]|[1-5][0-9]|60)m|([1-9]|1[0-9]|2[0-4])h|([1-9]|[12][0-9]|30)d)$", var.audit_every))
    error_message = "1m to 60m, 1h to 24h, or 1d to 30d."
  }
}

variable "dry_run" {
  description = "Read only: what would be registered is told, and audits ask for nothing."
  type        = bool
  default     = true
}

variable "result_sink" {
  description = "Where results go, and what audits ask for: an https address that takes CloudEvents, and hands org.service.missing to register-service and account.admin.missing to register-admin. Empty means that audits report and heal nothing."
  type        = string
  default     = ""
  validation {
    condition     = var.result_sink == "" || can(regex("^https://[^/@ ]+(/.*)?$", var.result_sink))
    error_message = "An https address, or empty. EventBridge is for functions on AWS."
  }
}

variable "failure_email" {
  description = "Who is told of events that failed for good. Empty means that only the topic is there."
  type        = string
  default     = ""
}

variable "log_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 90
  validation {
    condition     = var.log_days >= 1 && var.log_days <= 365
    error_message = "1 to 365 days."
  }
}

variable "domain_id" {
  description = "The id of the management account, if calls are refused without it. docs/verify.md says how to find out."
  type        = string
  default     = ""
}

variable "packages" {
  description = "Where make build-functiongraph put the zips, from this folder."
  type        = string
  default     = "../../dist/functiongraph"
}

# Unverified: no document that was found names the principal of FunctionGraph. This one is made as
# those of other services are (service.APIG, service.SecMaster), and plan warns if IAM doesn't list
# it.
variable "functiongraph_principal" {
  description = "The service principal of FunctionGraph, which the agencies trust."
  type        = string
  default     = "service.FunctionGraph"
}

# registrar on FunctionGraph, Huawei Cloud's own host for functions, in the management account of an
# organization. For Terraform and OpenTofu:
#
#   make build-functiongraph
#   cd deploy/functiongraph
#   cp terraform.tfvars.example terraform.tfvars   # and fill it in
#   export HW_ACCESS_KEY=... HW_SECRET_KEY=...     # of an administrator of the account, who deploys
#   terraform init
#   terraform plan                                 # warns of what Huawei Cloud spells differently
#   terraform apply
#
# It was never applied. It is built to the documents of the provider (version 1.97.1) and of the
# services, and a comment that begins with "Unverified" says what these leave open.
#
# What Terraform can't make, and you do first: CTS switched on in this region, and FunctionGraph
# opened once in the console, which asks to be allowed what it needs. Agencies of some services
# can't be made by API, say the maintainers of the provider, among them cts_admin_trust, by which CTS
# reaches others.
#
# An organization that is there already makes no trace: invoke register-region and register-service
# once with events/org-bootstrap.json, and register-admin with an account.created for each account
# that shall administer something, unless there is a sink for what audits ask for.

locals {
  # What may be named to the functions that register services and administrators.
  administered = distinct([for rule in var.administrators : trimspace(split("=", rule)[0])])
  trusted      = coalescelist(var.trusted_services, local.administered)

  # What each folder of functions/ needs. A test holds that the rights are those of docs/rights.md,
  # and the traces those that the program takes. The resource types of traces are those of the pages
  # "Supported Organizations Operations" and "CTS Auditing" of RGC. Unverified: that CTS calls the
  # services Organizations and RGC.
  functions = {
    register-region = {
      environment = { REGION_ID = var.region_id }
      rights = [
        {
          Sid    = "Read"
          Effect = "Allow"
          Action = [
            "IdentityCenter:instance:describeRegisteredRegions",
            "organizations:delegatedAdministrators:list",
          ]
        },
        {
          Sid    = "Register"
          Effect = "Allow"
          Action = ["IdentityCenter:instance:registerRegion"]
        },
      ]
      retries = 3
      traces = {
        "Organizations:organization" = ["createOrganization"]
        "RGC:LandingZone"            = ["setupLandingZone"]
      }
    }
    register-service = {
      environment = {
        ADMINISTRATORS   = join(",", var.administrators)
        TRUSTED_SERVICES = join(",", var.trusted_services)
      }
      rights = [
        {
          Sid    = "Read"
          Effect = "Allow"
          Action = [
            "organizations:services:list",
            "organizations:trustedServices:list",
          ]
        },
        {
          Sid       = "Register"
          Effect    = "Allow"
          Action    = ["organizations:trustedServices:enable"]
          Condition = { StringEquals = { "organizations:ServicePrincipal" = local.trusted } }
        },
      ]
      retries = 3
      traces = {
        "Organizations:organization" = ["createOrganization"]
        "RGC:LandingZone"            = ["setupLandingZone"]
      }
    }
    register-admin = {
      environment = {
        ADMINISTRATORS       = join(",", var.administrators)
        ACCOUNT_READY_WITHIN = "${var.account_ready_minutes}m"
      }
      rights = [
        {
          Sid    = "Read"
          Effect = "Allow"
          Action = [
            "organizations:accounts:get",
            "organizations:createAccountStatuses:get",
            "organizations:delegatedAdministrators:list",
            "organizations:delegatedServices:list",
            "organizations:services:list",
            "organizations:trustedServices:list",
          ]
        },
        {
          Sid       = "Register"
          Effect    = "Allow"
          Action    = ["organizations:delegatedAdministrators:register"]
          Condition = { StringEquals = { "organizations:ServicePrincipal" = local.administered } }
        },
      ]
      retries = 3
      traces = {
        "Organizations:account"   = ["createAccount", "createAccountV2"]
        "Organizations:handshake" = ["acceptHandshake"]
        "RGC:Account"             = ["createAccount", "enrollAccount"]
      }
    }
    audit-organization = {
      environment = {
        ADMINISTRATORS   = join(",", var.administrators)
        TRUSTED_SERVICES = join(",", var.trusted_services)
        REGION_ID        = var.region_id
      }
      rights = [
        {
          Sid    = "Read"
          Effect = "Allow"
          Action = [
            "IdentityCenter:instance:describeRegisteredRegions",
            "organizations:accounts:list",
            "organizations:delegatedAdministrators:list",
            "organizations:delegatedServices:list",
            "organizations:trustedServices:list",
          ]
        },
      ]
      retries = 0 # the next audit is the retry
      traces  = {}
    }
  }

  # All traces of the triggers, each <service>:<resource type>:<name>.
  traces = toset(flatten([
    for function in local.functions : [for resource, names in function.traces : formatlist("${resource}:%s", names)]
  ]))

  # What all functions are told. A variable that is empty is left out.
  environment = {
    DRY_RUN                   = var.dry_run ? "true" : ""
    RESULT_SINK               = var.result_sink
    HUAWEICLOUD_SDK_DOMAIN_ID = var.domain_id
    GOMAXPROCS                = "1" # Go itself reads it: with little memory comes less than one processor
  }

  # Who may take the rights of an agency: FunctionGraph, for the functions that have it.
  trust = jsonencode({
    Version = "5.0"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:agencies:assume"]
      Principal = { Service = [var.functiongraph_principal] }
    }]
  })
}

# What a function may do, and nothing more: it gets the keys of this agency with each invocation,
# and has no others. Unverified, as in docs/rights.md: that a policy without Resource is taken.
resource "huaweicloud_identityv5_policy" "function" {
  for_each    = local.functions
  name        = "${var.name}-${each.key}"
  description = "What the function ${var.name}-${each.key} may do"
  policy_document = jsonencode({
    Version   = "5.0"
    Statement = each.value.rights
  })
}

# Unverified: that FunctionGraph takes a trust agency. A trust agency takes only policies of version
# 5, and not every service supports one. The provider documents the resource as incubating.
resource "huaweicloud_identity_trust_agency" "function" {
  for_each     = local.functions
  name         = "${var.name}-${each.key}"
  description  = "What the function ${var.name}-${each.key} may do"
  policy_names = [huaweicloud_identityv5_policy.function[each.key].name]
  trust_policy = local.trust
}

# What FunctionGraph itself may do for the functions, apart from them: tell the topic of events that
# failed. It needs no right to write logs: its page on logs says that they need no configuration.
# Unverified: that this agency, and not that of the function, sends to the topic; that the action is
# called so in policies of this version; how the topic would be named in Resource, which is why it
# isn't. One edition of the page on CTS triggers asks for an agency with rights on CTS, others for
# none; none are given here.
resource "huaweicloud_identityv5_policy" "platform" {
  name        = "${var.name}-platform"
  description = "What FunctionGraph may do for the functions of ${var.name}"
  policy_document = jsonencode({
    Version   = "5.0"
    Statement = [{ Sid = "TellOfFailures", Effect = "Allow", Action = ["smn:topic:publish"] }]
  })
}

resource "huaweicloud_identity_trust_agency" "platform" {
  name         = "${var.name}-platform"
  description  = "What FunctionGraph may do for the functions of ${var.name}"
  policy_names = [huaweicloud_identityv5_policy.platform.name]
  trust_policy = local.trust
}

# Lines are JSON, one for each event. They never hold a key.
resource "huaweicloud_lts_group" "logs" {
  group_name  = var.name
  ttl_in_days = var.log_days
}

resource "huaweicloud_lts_stream" "logs" {
  for_each    = local.functions
  group_id    = huaweicloud_lts_group.logs.id
  stream_name = "${var.name}-${each.key}"
}

# Unverified: the handler. Other runtimes want two names with a dot between them; in the runtime
# Custom the executable bootstrap is what runs.
resource "huaweicloud_fgs_function" "function" {
  for_each    = local.functions
  name        = "${var.name}-${each.key}"
  description = "registrar: ${each.key}"
  app         = "default"
  runtime     = "Custom"
  handler     = "bootstrap.handler"
  memory_size = 256
  timeout     = 60

  code_type     = "zip"
  code_filename = "${each.key}.zip"
  func_code     = filebase64("${path.module}/${var.packages}/${each.key}.zip")

  agency     = huaweicloud_identity_trust_agency.platform.name
  app_agency = huaweicloud_identity_trust_agency.function[each.key].name
  user_data = jsonencode({
    for variable, value in merge(local.environment, each.value.environment) : variable => value if value != ""
  })

  enable_lts_log  = true
  log_group_id    = huaweicloud_lts_group.logs.id
  log_group_name  = huaweicloud_lts_group.logs.group_name
  log_stream_id   = huaweicloud_lts_stream.logs[each.key].id
  log_stream_name = huaweicloud_lts_stream.logs[each.key].stream_name

  lifecycle {
    precondition {
      condition     = length(jsonencode(merge(local.environment, each.value.environment))) <= 4096
      error_message = "FunctionGraph takes at most 4096 characters of variables: name fewer administrators or services."
    }
  }
}

# CTS tells the functions what happened. The trigger and what it triggers are in one region, the one
# in which traces of global services are. Unverified: that those of Organizations and RGC are there,
# and that acceptHandshake is, which the account that was invited does and not this one.
resource "huaweicloud_fgs_function_trigger" "traces" {
  for_each     = { for name, function in local.functions : name => function if function.traces != {} }
  function_urn = huaweicloud_fgs_function.function[each.key].urn
  type         = "CTS"
  event_data = jsonencode({
    name       = replace("${var.name}_${each.key}", "-", "_") # which takes no hyphens
    operations = [for resource, names in each.value.traces : "${resource}:${join(";", names)}"]
  })
}

# An audit finds what no trace told of. The program appends the time to the id, so that each audit
# is an event of its own.
resource "huaweicloud_fgs_function_trigger" "audit" {
  function_urn = huaweicloud_fgs_function.function["audit-organization"].urn
  type         = "TIMER"
  event_data = jsonencode({
    name          = "${var.name}-audit"
    schedule_type = "Rate"
    schedule      = var.audit_every
    user_event = jsonencode({
      specversion = "1.0"
      id          = "audit"
      source      = "/registrar/timer/${var.name}"
      type        = "org.audit"
      data        = {}
    })
  })
}

# Triggers invoke asynchronously, and an event that failed is tried again. Unverified: how long
# FunctionGraph waits between two tries, so whether three of them outlast an account that isn't
# ready. The event stays valid long enough; if the tries don't last, the topic is told, and the next
# audit asks for the administrator, if there is a sink for what it asks.
resource "huaweicloud_fgs_async_invoke_configuration" "function" {
  for_each                       = local.functions
  function_urn                   = huaweicloud_fgs_function.function[each.key].urn
  max_async_retry_attempts       = each.value.retries
  max_async_event_age_in_seconds = 4 * 60 * var.account_ready_minutes

  on_failure {
    destination = "SMN"
    param       = jsonencode({ topic_urn = huaweicloud_smn_topic.failures.topic_urn })
  }
}

# What failed for good, with the event that failed: send it again once the cause is gone.
resource "huaweicloud_smn_topic" "failures" {
  name         = "${var.name}-failures"
  display_name = "${var.name}: events that failed"
}

# Whoever has the address confirms it by a link in the first message.
resource "huaweicloud_smn_subscription" "failures" {
  for_each  = toset(var.failure_email == "" ? [] : [var.failure_email])
  topic_urn = huaweicloud_smn_topic.failures.topic_urn
  protocol  = "email"
  endpoint  = each.value
  remark    = "Told of events that failed"
}

# What no document settles, Huawei Cloud is asked. A difference is a warning of plan and apply, and
# stops neither.
check "the_principal_of_functiongraph" {
  data "huaweicloud_identityv5_service_principals" "known" {}

  assert {
    condition = contains(
      data.huaweicloud_identityv5_service_principals.known.service_principals[*].service_principal,
      var.functiongraph_principal,
    )
    error_message = "IAM knows no service ${var.functiongraph_principal}: find FunctionGraph's in the list of principals, and set functiongraph_principal."
  }
}

check "the_names_of_traces" {
  data "huaweicloud_cts_operations" "known" {}

  assert {
    condition = length(setsubtract(local.traces, flatten([
      for known in data.huaweicloud_cts_operations.known.operations : formatlist(
        "${known.service_type}:${known.resource_type}:%s", known.operation_list,
      )
    ]))) == 0
    error_message = "CTS of this region doesn't list all of ${join(", ", local.traces)}: compare GET /v3/<project id>/operations. Of what it doesn't list, only audits tell."
  }
}

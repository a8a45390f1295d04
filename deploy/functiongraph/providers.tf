terraform {
  required_version = ">= 1.6"

  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.97.1, < 2.0.0"
    }
  }
}

# Keys are read from HW_ACCESS_KEY and HW_SECRET_KEY, and stand in no file and no state.
provider "huaweicloud" {
  region = var.region
}

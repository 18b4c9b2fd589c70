data "digitalocean_ssh_key" "admins" {
  for_each = toset(var.ssh_keys)
  name     = each.value
}

locals {
  keys = [for key in data.digitalocean_ssh_key.admins : key.id]
  tag  = "${var.name}-loadgen"
}

# The traffic of a run stays inside it.
resource "digitalocean_vpc" "fleet" {
  name     = "${var.name}-fleet"
  region   = var.region
  ip_range = var.network
}

resource "digitalocean_tag" "fleet" {
  name = local.tag
}

resource "digitalocean_droplet" "client" {
  count = var.clients

  name     = "${var.name}-worker-${count.index + 1}"
  region   = var.region
  size     = var.client_size
  image    = var.image
  vpc_uuid = digitalocean_vpc.fleet.id
  ssh_keys = local.keys
  tags     = [digitalocean_tag.fleet.id]
}

resource "digitalocean_droplet" "target" {
  name     = var.name
  region   = var.region
  size     = var.target_size
  image    = var.image
  vpc_uuid = digitalocean_vpc.fleet.id
  ssh_keys = local.keys
  tags     = [digitalocean_tag.fleet.id]
}

resource "digitalocean_droplet" "manager" {
  name     = "${var.name}-manager"
  region   = var.region
  size     = var.manager_size
  image    = var.image
  vpc_uuid = digitalocean_vpc.fleet.id
  ssh_keys = local.keys
  tags     = [digitalocean_tag.fleet.id]
}

# Outside the machines, so that no firewall rule on them tracks a million connections.
resource "digitalocean_firewall" "fleet" {
  name = "${var.name}-fleet"
  tags = [digitalocean_tag.fleet.id]

  inbound_rule {
    protocol         = "tcp"
    port_range       = "22"
    source_addresses = var.admin_cidrs
  }

  inbound_rule {
    protocol         = "tcp"
    port_range       = "all"
    source_addresses = [digitalocean_vpc.fleet.ip_range]
  }

  inbound_rule {
    protocol         = "icmp"
    source_addresses = [digitalocean_vpc.fleet.ip_range]
  }

  outbound_rule {
    protocol              = "tcp"
    port_range            = "all"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }

  outbound_rule {
    protocol              = "udp"
    port_range            = "all"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }

  outbound_rule {
    protocol              = "icmp"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }
}

resource "local_file" "inventory" {
  filename        = "${path.module}/../ansible/inventory/fleet.yml"
  file_permission = "0644"

  content = templatefile("${path.module}/fleet.yml.tftpl", {
    network = digitalocean_vpc.fleet.ip_range
    clients = digitalocean_droplet.client
    target  = digitalocean_droplet.target
    manager = digitalocean_droplet.manager
  })
}

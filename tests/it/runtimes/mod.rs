//! What users, cleaners and versions do to tmux and zellij.

mod lost_sockets;
mod lying_clients;
mod moved_by_hand;
mod screens;
mod skew;
mod stopped_servers;
mod versions;
mod zellij_by_hand;
mod zellij_cut_off;
mod zellij_scrolled;
